//! CSV (RFC 4180): a header line, then records.

use super::within;
use crate::node::write_text;
use crate::raw::Malformed;

pub(super) fn decode(text: &str, max: usize) -> Result<Vec<u8>, Malformed> {
    let malformed = |error: csv::Error| Malformed(error.to_string());
    let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
    let names: Vec<Vec<u8>> = reader.headers().map_err(malformed)?.iter().map(json_text).collect();
    let mut out = b"[".to_vec();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(malformed)? {
        if out.len() > 1 {
            out.push(b',');
        }
        out.push(b'{');
        for (at, (name, value)) in names.iter().zip(record.iter()).enumerate() {
            if at > 0 {
                out.push(b',');
            }
            out.extend_from_slice(name);
            out.push(b':');
            write_text(value, &mut out);
        }
        out.push(b'}');
        within(&out, max)?;
    }
    out.push(b']');
    Ok(out)
}

fn json_text(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    write_text(text.trim(), &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::super::{Notation, told};

    #[test]
    fn records_are_objects() {
        let check = |text: &str, wanted: &str| assert_eq!(told(text, Notation::Csv), wanted, "{text}");
        check(
            "id, name\n1,x\r\n2,\"a \"\"b\"\",\nc\"\n",
            r#"[{"id":"1","name":"x"},{"id":"2","name":"a \"b\",\nc"}]"#,
        );
        check("id,name\n", "[]");
        check("", "[]");
        check("a\n\n1\n", r#"[{"a":"1"}]"#);
        check(
            "a,b\n1\n",
            "error: CSV error: record 1 (line: 2, byte: 4): found record with 1 fields, but the previous record has 2 fields",
        );
    }

    #[test]
    fn a_long_header_over_many_records_is_bounded() {
        let text = format!("{}\n{}", "h".repeat(1000), "1\n".repeat(1000));
        assert_eq!(told(&text, Notation::Csv), "error: it is more than 10000 bytes as JSON");
    }
}
