//! As much of DER (X.690) as public keys in files need. Lengths are bounded by the input; nothing recurses.

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_ID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
/// `[0] EXPLICIT`, the version of a certificate.
const VERSION: u8 = 0xa0;

pub(crate) const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
pub(crate) const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
pub(crate) const PRIME256V1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
pub(crate) const SECP384R1: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
pub(crate) const SECP521R1: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x23];
pub(crate) const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// What is left of a run of values.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The inside of the one sequence that the bytes are.
    pub(crate) fn sequence(der: &'a [u8]) -> Option<Self> {
        let mut whole = Self(der);
        let inside = whole.take(SEQUENCE)?;
        whole.is_empty().then_some(Self(inside))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn object_id(&mut self) -> Option<&'a [u8]> {
        self.take(OBJECT_ID)
    }

    pub(crate) fn octets(&mut self) -> Option<&'a [u8]> {
        self.take(OCTET_STRING)
    }

    /// An integer that is not negative, without the zero in front that says so.
    pub(crate) fn unsigned(&mut self) -> Option<&'a [u8]> {
        let bytes = self.take(INTEGER)?;
        match bytes {
            [] => None,
            [0, rest @ ..] => Some(rest),
            [first, ..] if *first < 0x80 => Some(bytes),
            _ => None,
        }
    }

    pub(crate) fn nested(&mut self) -> Option<Self> {
        self.take(SEQUENCE).map(Self)
    }

    /// Tag and content of the next value.
    pub(crate) fn any(&mut self) -> Option<(u8, &'a [u8])> {
        let (tag, content, rest) = next(self.0)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// The values inside the next one, which must have this tag.
    pub(crate) fn inside(&mut self, tag: u8) -> Option<Self> {
        self.take(tag).map(Self)
    }

    /// The tag of the next value.
    pub(crate) fn tag(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The content of the next value, which must have this tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, content, rest) = next(self.0)?;
        self.0 = rest;
        (found == tag).then_some(content)
    }

    fn skip(&mut self) -> Option<()> {
        self.0 = next(self.0)?.2;
        Some(())
    }
}

/// Algorithm and key of a SubjectPublicKeyInfo.
pub(crate) fn public_key_info(der: &[u8]) -> Option<(Reader<'_>, &[u8])> {
    let mut info = Reader::sequence(der)?;
    let algorithm = info.nested()?;
    let (unused_bits, key) = info.take(BIT_STRING)?.split_first()?;
    (*unused_bits == 0 && info.is_empty()).then_some((algorithm, key))
}

/// The SubjectPublicKeyInfo of a certificate (RFC 5280 §4.1), as DER.
pub(crate) fn certificate_key(der: &[u8]) -> Option<&[u8]> {
    let mut body = Reader::sequence(der)?.nested()?;
    if body.0.first() == Some(&VERSION) {
        body.skip()?;
    }
    // Serial number, signature algorithm, issuer, validity, subject.
    for _ in 0..5 {
        body.skip()?;
    }
    let rest = body.0;
    body.skip()?;
    rest.get(..rest.len() - body.0.len())
}

/// Tag, content and what follows. Only short tags and lengths up to four bytes, in their shortest form.
fn next(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    if tag & 0x1f == 0x1f {
        return None;
    }
    let (length, rest) = match *first {
        short @ 0..=0x7f => (usize::from(short), rest),
        long @ 0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(long - 0x80))?;
            let length = digits.iter().fold(0usize, |length, digit| length << 8 | usize::from(*digit));
            if *digits.first()? == 0 || length < 0x80 {
                return None;
            }
            (length, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}
