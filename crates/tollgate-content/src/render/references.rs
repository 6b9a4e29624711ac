//! Which templates a template names, found in its text: they have to be there before it is compiled.

/// A template that another one names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Its name: a path within the folder of the template that the configuration names.
    pub name: String,
    /// Where it stands: the line, from 1.
    pub line: u32,
    /// It may be missing (`ignore missing`).
    pub optional: bool,
}

/// The templates that `include`, `extends`, `import` and `from` name. An error is a line, and what is wrong there.
pub fn references(text: &str) -> Result<Vec<Reference>, (u32, String)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(next) =
        text.get(at..).and_then(|rest| rest.find("{%").into_iter().chain(rest.find("{#")).min())
    {
        let start = at + next;
        let rest = text.get(start + 2..).unwrap_or_default();
        if text.get(start..).is_some_and(|rest| rest.starts_with("{#")) {
            at = rest.find("#}").map_or(text.len(), |end| start + 2 + end + 2);
            continue;
        }
        let end = tag_end(rest);
        let tag = rest.get(..end).unwrap_or_default().trim_start_matches(['-', '+']).trim();
        at = start + 2 + end;
        let line = text.get(..start).map_or(0, |before| before.matches('\n').count() as u32) + 1;
        match tag.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').next() {
            Some("raw") => at = raw_end(text, at),
            Some("include" | "extends" | "import" | "from") => named(tag, line, &mut found)?,
            _ => {}
        }
    }
    Ok(found)
}

/// Bytes of these templates that go to a value rather than to the page: in macros, calls, and blocks of `set` and `filter`.
pub(super) fn captured<'a>(texts: impl Iterator<Item = &'a str> + Clone) -> usize {
    let all = texts.clone().map(str::len).sum();
    let mut bytes = 0_usize;
    for text in texts {
        for (begin, end) in
            [("macro", "endmacro"), ("call", "endcall"), ("filter", "endfilter"), ("set", "endset")]
        {
            let mut ends = text.match_indices(end).map(|(at, _)| at).peekable();
            let last = ends.clone().last().unwrap_or(0);
            // From the first that may begin one to the last that ends one: rather too much than too little.
            if let (Some(start), Some(_)) = (text.find(begin), ends.peek()) {
                let inside = text.get(start..last).unwrap_or_default();
                bytes = bytes.saturating_add(inside.len());
                if inside.contains("include") || inside.contains("self") {
                    return all;
                }
            }
        }
        if text.contains("self.") {
            return all;
        }
    }
    bytes.min(all)
}

/// The bytes up to the end of a tag; one in a text is none.
fn tag_end(rest: &str) -> usize {
    let mut quote = None;
    let bytes = rest.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match (quote, byte) {
            (Some(_), b'\\') => at += 1,
            (Some(open), byte) if byte == open => quote = None,
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'%') if bytes.get(at + 1) == Some(&b'}') => return at,
            _ => {}
        }
        at += 1;
    }
    rest.len()
}

/// Where text that is no template ends.
fn raw_end(text: &str, from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    let ends = rest.match_indices("{%").find(|(at, _)| {
        let tag = rest.get(at + 2..).unwrap_or_default().trim_start_matches(['-', '+']).trim_start();
        tag.starts_with("endraw")
    });
    ends.map_or(text.len(), |(at, _)| from + at + 2)
}

fn named(tag: &str, line: u32, found: &mut Vec<Reference>) -> Result<(), (u32, String)> {
    let optional = tag.contains("ignore missing");
    let names = texts(tag);
    if names.is_empty() {
        return Err((
            line,
            "templates are named by a text in quotes here, so that they can be read ahead".to_owned(),
        ));
    }
    for name in names {
        if !is_inside(&name) {
            return Err((line, format!("`{name}` is no name of a template in the folder of this one")));
        }
        found.push(Reference { name, line, optional });
    }
    Ok(())
}

/// The texts in quotes.
fn texts(tag: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = tag;
    while let Some(at) = rest.find(['"', '\'']) {
        let (quote, behind) = rest.split_at(at).1.split_at(1);
        let (text, after) = behind.split_once(quote).unwrap_or((behind, ""));
        found.push(text.to_owned());
        rest = after;
    }
    found
}

/// Whether a name stays in the folder: no `..`, no hidden file, no absolute path, no backslash.
fn is_inside(name: &str) -> bool {
    let is_plain = |part: &str| !part.is_empty() && !part.starts_with('.');
    !name.contains(['\\', '\0', ':']) && name.split('/').all(is_plain)
}
