//! CSV (RFC 4180): a header line, then records.
//!
//! The RFC says nothing about names that stand twice or are missing. JSON would keep one of several values under a name,
//! and rules could not name a member without one; so no value is lost here, and each can be named.

use std::collections::HashMap;

use super::{Undecoded, within};
use crate::node::write_text;
use crate::raw::Malformed;

/// The columns that make one member of each record.
struct Member {
    /// Its name, as JSON.
    name: Vec<u8>,
    columns: Vec<usize>,
}

pub(super) fn decode(text: &str, max: usize) -> Result<Vec<u8>, Undecoded> {
    let malformed = |error: csv::Error| Malformed(error.to_string());
    let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
    let members = members(reader.headers().map_err(malformed)?);
    let mut out = b"[".to_vec();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(malformed)? {
        if out.len() > 1 {
            out.push(b',');
        }
        out.push(b'{');
        for (at, member) in members.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            member.write(&record, &mut out);
        }
        out.push(b'}');
        within(out.len(), max)?;
    }
    out.push(b']');
    Ok(out)
}

/// What the header line names, each name where it stands first. A column without a name is `#` and its number, from 1.
fn members(header: &csv::StringRecord) -> Vec<Member> {
    let mut members: Vec<Member> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for (column, name) in header.iter().enumerate() {
        let name = match name.trim() {
            "" => format!("#{}", column + 1),
            name => name.to_owned(),
        };
        let place = *places.entry(name).or_insert_with_key(|name| {
            let mut json = Vec::new();
            write_text(name, &mut json);
            members.push(Member { name: json, columns: Vec::new() });
            members.len() - 1
        });
        if let Some(member) = members.get_mut(place) {
            member.columns.push(column);
        }
    }
    members
}

impl Member {
    /// Columns of one name are a list in every record, as elements of one name are in XML.
    fn write(&self, record: &csv::StringRecord, out: &mut Vec<u8>) {
        let value = |column: &usize| record.get(*column).unwrap_or_default();
        out.extend_from_slice(&self.name);
        out.push(b':');
        if let [column] = self.columns.as_slice() {
            return write_text(value(column), out);
        }
        out.push(b'[');
        for (at, column) in self.columns.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            write_text(value(column), out);
        }
        out.push(b']');
    }
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
    fn no_value_is_lost_by_its_name() {
        let check = |text: &str, wanted: &str| assert_eq!(told(text, Notation::Csv), wanted, "{text}");
        check("a,b,a\n1,2,3\n4,5,6\n", r#"[{"a":["1","3"],"b":"2"},{"a":["4","6"],"b":"5"}]"#);
        check("a, a ,\"a\"\n1,2,3\n", r#"[{"a":["1","2","3"]}]"#);
        check("a,,b,\n1,2,3,4\n", r##"[{"a":"1","#2":"2","b":"3","#4":"4"}]"##);
        check("a,,#2\n1,2,3\n", r##"[{"a":"1","#2":["2","3"]}]"##);
        check("a,A\n1,2\n", r#"[{"a":"1","A":"2"}]"#);
    }

    #[test]
    fn a_long_header_over_many_records_is_bounded() {
        let text = format!("{}\n{}", "h".repeat(1000), "1\n".repeat(1000));
        assert_eq!(told(&text, Notation::Csv), "error: it is more than 10000 bytes as JSON");
    }
}
