use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, DnValue, IsCa, KeyPair, SanType,
};

use super::*;

fn made(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    change(&mut params);
    let key = KeyPair::generate().expect("a key");
    params.self_signed(&key).expect("a certificate").der().to_vec()
}

fn read(change: impl FnOnce(&mut CertificateParams)) -> Certificate {
    Certificate::parse(&made(change)).expect("it is one")
}

#[test]
fn names_are_those_of_the_alternative_names() {
    let found = read(|params| {
        let dns = |name: &str| SanType::DnsName(name.try_into().expect("a name"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "common.example");
        params.subject_alt_names =
            vec![dns("API.Example.com"), SanType::IpAddress([127, 0, 0, 1].into()), dns("*.example.com")];
    });
    assert_eq!(found.dns_names, ["api.example.com", "*.example.com"]);
    assert_eq!(found.subject, "CN=common.example");
    assert_eq!(read(|_| {}).dns_names, Vec::<String>::new());
}

#[test]
fn the_time_of_a_certificate() {
    let found = read(|params| {
        params.not_before = rcgen::date_time_ymd(1999, 12, 31);
        params.not_after = rcgen::date_time_ymd(2052, 2, 29);
    });
    // date -u -d 1999-12-31 +%s; date -u -d 2052-02-29 +%s. The second one is a GeneralizedTime.
    assert_eq!((found.not_before, found.not_after), (946_598_400, 2_592_777_600));
    for (now, expect) in
        [(946_598_399, false), (946_598_400, true), (2_592_777_600, true), (2_592_777_601, false)]
    {
        assert_eq!(found.is_valid_at(now), expect, "{now}");
    }
}

#[test]
fn subjects_as_text() {
    let check = |parts: &[(DnType, DnValue)], expect: &str| {
        let found = read(|params| {
            for (kind, value) in parts {
                params.distinguished_name.push(kind.clone(), value.clone());
            }
        });
        assert_eq!(found.subject, expect);
    };
    let utf8 = |text: &str| DnValue::Utf8String(text.to_owned());
    check(&[], "");
    check(
        &[
            (DnType::CountryName, utf8("DE")),
            (DnType::OrganizationName, utf8("Ex, Inc.")),
            (DnType::CommonName, utf8("bus 7")),
        ],
        "CN=bus 7,O=Ex\\, Inc.,C=DE",
    );
    check(&[(DnType::CommonName, utf8(" #a\"+;<>\\ "))], "CN=\\ #a\\\"\\+\\;\\<\\>\\\\\\ ");
    check(&[(DnType::CommonName, utf8("#x"))], "CN=\\#x");
    // What would end a header's line, and what is no ASCII, is written in hexadecimal.
    check(&[(DnType::CommonName, utf8("a\r\nb\0ü"))], "CN=a\\0D\\0Ab\\00\\C3\\BC");
    let bmp = DnValue::BmpString("Bus".try_into().expect("text"));
    check(&[(DnType::CommonName, bmp)], "CN=Bus");
    let teletex = DnValue::TeletexString("Bus".try_into().expect("text"));
    check(&[(DnType::CommonName, teletex)], "CN=#1403427573");
    check(&[(DnType::CustomDnType(vec![2, 5, 4, 9999]), utf8("x"))], "2.5.4.9999=#0C0178");
    check(&[(DnType::CommonName, utf8(&"x".repeat(SUBJECT_BYTES_MAX)))], "");
}

#[test]
fn a_date_before_1970() {
    assert_eq!(days(1970, 1, 1), 0);
    assert_eq!(days(1969, 12, 31), -1);
    assert_eq!(days(2000, 3, 1), 11_017);
}

proptest! {
    #[test]
    fn damaged_certificates_are_read_or_refused(at in 0usize..600, byte: u8, cut in 0usize..600) {
        let mut der = made(|params| {
            params.distinguished_name.push(DnType::CommonName, "bus 7");
            params.subject_alt_names = vec![SanType::DnsName("a.example".try_into().expect("a name"))];
        });
        if let Some(one) = der.get_mut(at) {
            *one = byte;
        }
        let _ = Certificate::parse(&der);
        let _ = Certificate::parse(der.get(..cut).unwrap_or(&der));
    }
}
