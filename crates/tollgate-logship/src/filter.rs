//! Which records are wanted: `status>=500 && route==orders`.
//!
//! Comparisons of a field with a value, joined by `&&`: `==` `!=` `>` `>=` `<` `<=`, and `~` for a part of a text. A field
//! inside another is named with a dot (`headers.user-agent`). Values are numbers, `null`, `true`, `false` and texts, which
//! need quotes only where they hold spaces, `&`, `|`, `<`, `>`, `==`, `!=` or quotes at their beginning.

use std::cmp::Ordering;
use std::fmt;

use serde_json::{Number, Value};

/// Comparisons of one filter.
const COMPARISONS_MAX: usize = 32;

/// What a record has to be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter(Vec<Comparison>);

/// Why a text is no filter, in words for who wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadFilter(String);

impl fmt::Display for BadFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadFilter {}

#[derive(Debug, Clone, PartialEq)]
struct Comparison {
    field: String,
    operator: Operator,
    value: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    Unequal,
    Above,
    AtLeast,
    Below,
    AtMost,
    Contains,
}

/// The longer ones first: each is looked for as it stands.
const OPERATORS: [(&str, Operator); 8] = [
    ("==", Operator::Equal),
    ("!=", Operator::Unequal),
    (">=", Operator::AtLeast),
    ("<=", Operator::AtMost),
    (">", Operator::Above),
    ("<", Operator::Below),
    ("=", Operator::Equal),
    ("~", Operator::Contains),
];

/// What a text without quotes does not hold.
const UNQUOTED_NEVER: [&str; 5] = ["|", "==", "!=", "<", ">"];

impl Filter {
    /// Reads a filter.
    pub fn parse(text: &str) -> Result<Filter, BadFilter> {
        let mut comparisons = Vec::new();
        let mut rest = text;
        loop {
            let (comparison, behind) = comparison(rest.trim_start())?;
            comparisons.push(comparison);
            if comparisons.len() > COMPARISONS_MAX {
                return Err(BadFilter(format!("more than {COMPARISONS_MAX} comparisons")));
            }
            let behind = behind.trim_start();
            if behind.is_empty() {
                return Ok(Filter(comparisons));
            }
            let next = behind.strip_prefix("&&").or_else(|| behind.strip_prefix("and "));
            rest = next.ok_or_else(|| BadFilter(format!("`&&` is missing before `{behind}`")))?;
        }
    }

    /// The fields that are compared, as they were named.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|comparison| comparison.field.as_str())
    }

    /// The fields that are compared as no number is: with something else than a number or `null`, or by a part of it.
    pub fn not_as_numbers(&self) -> impl Iterator<Item = &str> {
        let unlike = |comparison: &&Comparison| {
            comparison.operator == Operator::Contains
                || !matches!(comparison.value, Value::Number(_) | Value::Null)
        };
        self.0.iter().filter(unlike).map(|comparison| comparison.field.as_str())
    }

    /// Whether a record is wanted.
    pub fn holds(&self, record: &Value) -> bool {
        self.0.iter().all(|comparison| comparison.holds(record))
    }
}

impl Comparison {
    fn holds(&self, record: &Value) -> bool {
        let found = member(record, &self.field);
        let order = compare(found, &self.value);
        match self.operator {
            Operator::Equal => order == Some(Ordering::Equal),
            Operator::Unequal => order != Some(Ordering::Equal),
            Operator::Above => order == Some(Ordering::Greater),
            Operator::AtLeast => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
            Operator::Below => order == Some(Ordering::Less),
            Operator::AtMost => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Operator::Contains => {
                let part = text_of(&self.value);
                found.as_str().is_some_and(|text| text.contains(&*part))
            }
        }
    }
}

/// A member by its name, with dots too; `null` where there is none, as records have it.
fn member<'a>(record: &'a Value, field: &str) -> &'a Value {
    let nested = || field.split('.').try_fold(record, |value, name| value.get(name));
    record.get(field).or_else(nested).unwrap_or(&Value::Null)
}

/// How two values stand to each other; not at all where they are of different kinds.
fn compare(found: &Value, wanted: &Value) -> Option<Ordering> {
    match (found, wanted) {
        (Value::Number(a), Value::Number(b)) => a.as_f64()?.partial_cmp(&b.as_f64()?),
        // `id==7` where ids are texts.
        (Value::String(a), other) if !other.is_null() => Some(a.as_str().cmp(&*text_of(other))),
        (Value::Null, Value::Null) => Some(Ordering::Equal),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

fn text_of(value: &Value) -> std::borrow::Cow<'_, str> {
    match value {
        Value::String(text) => text.into(),
        other => other.to_string().into(),
    }
}

fn comparison(text: &str) -> Result<(Comparison, &str), BadFilter> {
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let end = text.find(|c| !named(c)).unwrap_or(text.len());
    let (field, rest) = text.split_at(end);
    if field.is_empty() {
        return Err(BadFilter(format!("a field is missing before `{text}`")));
    }
    let rest = rest.trim_start();
    let operator = OPERATORS.iter().find_map(|(sign, operator)| Some((*operator, rest.strip_prefix(sign)?)));
    let (operator, rest) = operator.ok_or_else(|| {
        BadFilter(format!(
            "`{field}` is compared with nothing: write `{field}==…`, with == != >= <= > < or ~"
        ))
    })?;
    let (value, rest) = value(rest.trim_start())?;
    Ok((Comparison { field: field.to_owned(), operator, value }, rest))
}

fn value(text: &str) -> Result<(Value, &str), BadFilter> {
    let mut chars = text.chars();
    if let Some(quote @ ('"' | '\'')) = chars.next() {
        let inner = chars.as_str();
        let (inner, rest) = inner
            .split_once(quote)
            .ok_or_else(|| BadFilter(format!("a {quote} is missing behind `{inner}`")))?;
        return Ok((inner.into(), rest));
    }
    let end = text.find(|c: char| c.is_whitespace() || c == '&').unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    // `status>=500||route==a` is a wish for something else than a strange text.
    if let Some(sign) = UNQUOTED_NEVER.into_iter().find(|sign| word.contains(sign)) {
        return Err(BadFilter(format!(
            "`{sign}` in `{word}`: comparisons are joined by `&&`, and a text that holds it is written in quotes"
        )));
    }
    let value = match word {
        "" => return Err(BadFilter("a value is missing".to_owned())),
        "null" => Value::Null,
        "true" => true.into(),
        "false" => false.into(),
        _ => match word.parse::<Number>() {
            Ok(number) => Value::Number(number),
            Err(_) => word.into(),
        },
    };
    Ok((value, rest))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn records_are_chosen() {
        let record = json!({
            "status": 502, "path": "/orders/7", "route": "orders", "reason": null, "duration_ms": 12.5,
            "id": "017f22e2", "headers": { "user-agent": "curl/8 (x)" }, "http": "2"
        });
        for (filter, expect) in [
            ("status>=500", true),
            ("status >= 500", true),
            ("status>502", false),
            ("status<=502&&status<503", true),
            ("status==502 && route==orders", true),
            ("status=502 and route != users", true),
            ("status==500", false),
            ("path~/orders", true),
            ("path ~ users", false),
            ("duration_ms>12.4 && duration_ms<12.6", true),
            ("reason==null", true),
            ("reason!=null", false),
            ("missing==null", true),
            ("reason==upstream_reset", false),
            ("headers.user-agent=='curl/8 (x)'", true),
            ("headers.user-agent~\"curl\"", true),
            ("http==2", true),
            ("status==abc", false),
            ("status!=abc", true),
            ("status~50", false),
            ("id!='a|b==c<d'", true),
            ("id!=a=b", true),
        ] {
            let parsed = Filter::parse(filter).unwrap_or_else(|error| panic!("{filter}: {error}"));
            assert_eq!(parsed.holds(&record), expect, "{filter}");
        }
        assert!(Filter::default().holds(&record));
        let filter = Filter::parse("status>=500 && headers.user-agent~curl").expect("a filter");
        assert_eq!(filter.fields().collect::<Vec<_>>(), ["status", "headers.user-agent"]);
        let filter = Filter::parse("a>=5 && b==null && c==x && d=='5' && e~5 && f==true").expect("a filter");
        assert_eq!(filter.not_as_numbers().collect::<Vec<_>>(), ["c", "d", "e", "f"]);
    }

    #[test]
    fn what_is_no_filter() {
        for text in [
            "",
            "status",
            "status>=",
            ">=500",
            "status>=500 ||",
            "a==1 b==2",
            "a=='x",
            "a==1 &&",
            "a==1||b==2",
            "a==1|2",
            "a==b==c",
            "a==x!=y",
            "a>=x<y",
            "a==>b",
        ] {
            assert!(Filter::parse(text).is_err(), "{text}");
        }
        let long = vec!["a==1"; COMPARISONS_MAX + 1].join("&&");
        assert!(Filter::parse(&long).is_err());
    }
}
