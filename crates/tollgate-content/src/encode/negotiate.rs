//! `Accept` (RFC 9110 section 12.5.1), as far as it chooses among the notations there are.

use super::Encoding;

/// In the order in which they are taken where a client likes them the same.
const OFFERED: &[(Encoding, &[&str])] = &[
    (Encoding::Json, &["application/json", "text/json"]),
    (Encoding::Xml, &["application/xml", "text/xml"]),
    (Encoding::Yaml, &["application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"]),
];

/// The notation that a client would rather have, by its `Accept` lines. One that wants none of them gets JSON: an answer
/// that it can at least look at serves it better than none.
pub fn negotiate<'a>(accept: impl Iterator<Item = &'a str> + Clone) -> Encoding {
    let mut best = (Encoding::Json, 0);
    for (encoding, types) in OFFERED {
        let quality = types.iter().map(|wanted| quality(accept.clone(), wanted)).max().unwrap_or_default();
        if quality > best.1 {
            best = (*encoding, quality);
        }
    }
    best.0
}

/// How much a media type is wanted, from 0 to 1000: what the most specific range that fits says.
fn quality<'a>(accept: impl Iterator<Item = &'a str>, wanted: &str) -> u32 {
    let group = wanted.split('/').next().unwrap_or_default();
    let mut best = (0, 0);
    for range in accept.flat_map(|line| line.split(',')) {
        let mut parameters = range.split(';').map(str::trim);
        let name = parameters.next().unwrap_or_default();
        let rank = match name.split_once('/') {
            _ if name.eq_ignore_ascii_case(wanted) => 3,
            Some((of, "*")) if of.eq_ignore_ascii_case(group) => 2,
            Some(("*", "*")) => 1,
            _ => continue,
        };
        let weight = parameters.find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse::<f32>().unwrap_or(0.0))
        });
        let weight = (weight.unwrap_or(1.0).clamp(0.0, 1.0) * 1000.0) as u32;
        if rank > best.0 {
            best = (rank, weight);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_would_rather_have() {
        let check =
            |accept: &[&str], wanted| assert_eq!(negotiate(accept.iter().copied()), wanted, "{accept:?}");
        check(&[], Encoding::Json);
        check(&["*/*"], Encoding::Json);
        check(&["application/xml"], Encoding::Xml);
        check(&["text/html, application/xml;q=0.9, */*;q=0.8"], Encoding::Xml);
        check(&["application/yaml, application/json"], Encoding::Json);
        check(&["application/json;q=0.5", "text/yaml"], Encoding::Yaml);
        check(&["application/*;q=0.3, application/json;q=0"], Encoding::Xml);
        check(&["*/*;q=0.1, Application/X-YAML ; Q=0.2"], Encoding::Yaml);
        check(&["image/png"], Encoding::Json);
        check(&["application/xml;q=x"], Encoding::Json);
    }
}
