//! Templates filled with any values: what is written can be read in one way.

use arbitrary::Unstructured;
use tollgate_plan::path::normalize;
use tollgate_plan::table::PathPattern;
use tollgate_plan::template::{MissingValue, Part, Template, Values, Var};

/// The text in front of what is being rendered: an error leaves it as it is.
const BEFORE: &[u8] = b"before";
/// In every template as text: no printed plan shows it.
const SECRET: &str = "s3cr3tvalue";

/// Values, the rest of the bytes as a template. Whether it is one.
pub(crate) fn template(bytes: &[u8]) -> bool {
    let mut input = Unstructured::new(bytes);
    let Ok(pool) = Pool::read(&mut input) else { return false };
    let rest = String::from_utf8_lossy(input.take_rest()).into_owned();
    let parsed = Template::parse(&rest);
    let as_path = Template::parse_path(&rest);
    for error in [parsed.as_ref().err(), as_path.as_ref().err()].into_iter().flatten() {
        assert!(rest.is_char_boundary(error.offset), "{rest:?}: {error:?}");
        assert!(!error.to_string().is_empty());
    }
    if let Ok(template) = as_path {
        path(&bound(template), &pool, &rest);
    }
    let Ok(template) = parsed else { return false };
    let mut shown = template.clone();
    shown.push_text(SECRET);
    let names: String = shown.vars().map(Var::to_string).collect();
    assert!(names.contains(SECRET) || !format!("{shown:?}").contains(SECRET), "{rest:?}");
    let template = bound(template);
    header(&template, &pool, &rest);
    json(&template, &pool, &rest);
    url(&template, &pool, &rest);
    true
}

/// Tied to a pattern that has all names which tell kinds of values apart.
fn bound(mut template: Template) -> Template {
    let pattern = PathPattern::parse("/{id}/{other}/{rest*}").expect("a pattern");
    let _ = template.bind(&pattern);
    template
}

/// Values for whatever is asked.
struct Pool {
    values: Vec<Vec<u8>>,
    path: String,
    query: Vec<u8>,
    missing: u8,
}

impl Pool {
    fn read(input: &mut Unstructured<'_>) -> arbitrary::Result<Pool> {
        let mut values = vec![b"..".to_vec(), b"a".to_vec()];
        for _ in 0..input.int_in_range(0..=3)? {
            let length = input.int_in_range(0..=10)?;
            values.push(input.bytes(length.min(input.len()))?.to_vec());
        }
        let path = values.last().map(|value| [b"/", &value[..]].concat()).unwrap_or_default();
        let path = normalize(&path).map_or_else(|_| "/x%2F..%2Fy/z".to_owned(), |path| path.into_owned());
        // As in a request's target: no spaces, no controls, no `#`.
        let query = values.concat().into_iter().filter(|b| b.is_ascii_graphic() && *b != b'#').collect();
        Ok(Pool { values, path, query, missing: input.int_in_range(0..=7)? })
    }
}

impl Values for Pool {
    fn value(&self, var: &Var, out: &mut Vec<u8>) -> bool {
        let number = var.to_string().bytes().fold(self.missing, |sum, byte| sum.wrapping_mul(31) ^ byte);
        match var {
            Var::Path => out.extend_from_slice(self.path.as_bytes()),
            Var::Tail(_) => out.extend_from_slice(&self.path.as_bytes()[1..]),
            Var::Query => out.extend_from_slice(&self.query),
            Var::Scheme => out.extend_from_slice(b"https"),
            Var::Host => out.extend_from_slice(b"a.test"),
            _ if number % 8 == 7 => return false,
            _ => out.extend_from_slice(&self.values[usize::from(number) % self.values.len()]),
        }
        true
    }
}

type Render = fn(&Template, &Pool, &mut Vec<u8>) -> Result<(), MissingValue>;

/// What is appended, and nothing at all after an error.
fn rendered(template: &Template, pool: &Pool, render: Render) -> Option<Vec<u8>> {
    let mut out = BEFORE.to_vec();
    let done = render(template, pool, &mut out);
    let text = out.strip_prefix(BEFORE).expect("what stood before is as it was").to_vec();
    assert!(done.is_ok() || text.is_empty(), "{}", text.escape_ascii());
    done.ok().map(|()| text)
}

fn path(template: &Template, pool: &Pool, text: &str) {
    let Some(path) = rendered(template, pool, |template, pool, out| template.render_path(pool, out)) else {
        return;
    };
    let shown = format!("{text:?} gives {}", path.escape_ascii());
    // Normal as it stands: what the upstream reads is what was decided on.
    assert_eq!(normalize(&path).as_deref().map(str::as_bytes), Ok(&path[..]), "{shown}");
    // A value never makes a segment, and never takes one away.
    let slashes = |text: &[u8]| text.iter().filter(|byte| **byte == b'/').count();
    let whole = |var: &Var| matches!(var, Var::Path | Var::Tail(_));
    if !template.vars().any(whole) {
        let literal = template.parts().iter().map(|part| match part {
            Part::Text(text) => slashes(text.as_bytes()),
            Part::Var(_) => 0,
        });
        assert_eq!(slashes(&path), literal.sum::<usize>(), "{shown}");
    }
}

fn header(template: &Template, pool: &Pool, text: &str) {
    let value = rendered(template, pool, |template, pool, out| {
        template.render_header(pool, out);
        Ok(())
    });
    let value = value.unwrap_or_default();
    let control = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
    assert!(!value.iter().any(control), "{text:?} gives {}", value.escape_ascii());
}

fn json(template: &Template, pool: &Pool, text: &str) {
    // The literal text of such a template is JSON already: one that is none cannot become some.
    let plain = |part: &Part| match part {
        Part::Text(text) => text.chars().all(|c| !c.is_control() && c != '"' && c != '\\'),
        Part::Var(_) => true,
    };
    if !template.parts().iter().all(plain) {
        return;
    }
    let written = rendered(template, pool, |template, pool, out| {
        template.render_json(pool, out);
        Ok(())
    });
    let written = String::from_utf8(written.unwrap_or_default()).expect("JSON is UTF-8");
    let read: Result<String, _> = serde_json::from_str(&format!("\"{written}\""));
    let mut said = Vec::new();
    template.render_text(pool, &mut said);
    // Tails are decoded where they are text, in both.
    if let Ok(said) = std::str::from_utf8(&said) {
        assert_eq!(read.as_deref().ok(), Some(said), "{text:?} gives {written}");
    } else {
        assert!(read.is_ok(), "{text:?} gives {written}");
    }
}

fn url(template: &Template, pool: &Pool, text: &str) {
    // As the configuration makes them: a scheme and a host in front, so that no value chooses either.
    let mut whole = Template::text("https://h.test/p/");
    whole.append(&mut template.clone());
    let Some(url) = rendered(&whole, pool, |template, pool, out| template.render_url(pool, out)) else {
        return;
    };
    let shown = format!("{text:?} gives {}", url.escape_ascii());
    assert!(url.starts_with(b"https://h.test/p/"), "{shown}");
    assert!(!url.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t'), "{shown}");
    // Where the literal text has no dots of its own, no segment climbs out of what the template says.
    let dots = |part: &Part| matches!(part, Part::Text(text) if text.contains(['.', '%', ';']));
    if !template.parts().iter().any(dots) {
        let end = url.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(url.len());
        let path = String::from_utf8_lossy(&url[b"https://h.test".len()..end]).into_owned();
        let climbs = path.split('/').any(|segment| matches!(segment, "." | ".."));
        assert!(!climbs, "{shown}");
    }
}
