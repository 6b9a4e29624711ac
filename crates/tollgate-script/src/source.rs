//! What can be told about a script without running it: which parts of a message it reads, and what it requires.
//!
//! A look at its tokens, not at its meaning. A part counts as read where it is named (`req.body`, `req["body"]`);
//! one that is reached by a computed name is an error when the script runs, never a silent `nil`.

use crate::failure::ScriptError;

/// Which parts of the messages a script reads or writes, so that the others need not be made. Headers are always
/// given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// `req.method`
    pub method: bool,
    /// `req.path`
    pub path: bool,
    /// `req.query`
    pub query: bool,
    /// `req.host`
    pub host: bool,
    /// `req.client_ip`
    pub client_ip: bool,
    /// `req.consumer`
    pub consumer: bool,
    /// `req.params`
    pub params: bool,
    /// `req.claims`
    pub claims: bool,
    /// `req.body`, `req.json`: the whole body is to be buffered before the request goes on.
    pub request_body: bool,
    /// `res.body`, `res.json`: the same of the response.
    pub response_body: bool,
}

impl Needs {
    /// What two sources need together.
    pub fn and(self, other: Needs) -> Needs {
        Needs {
            method: self.method | other.method,
            path: self.path | other.path,
            query: self.query | other.query,
            host: self.host | other.host,
            client_ip: self.client_ip | other.client_ip,
            consumer: self.consumer | other.consumer,
            params: self.params | other.params,
            claims: self.claims | other.claims,
            request_body: self.request_body | other.request_body,
            response_body: self.response_body | other.response_body,
        }
    }
}

/// What a source says without being run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outline {
    pub(crate) needs: Needs,
    /// Names of required modules and the lines where they are.
    pub(crate) requires: Vec<(String, u32)>,
    /// It has the engine's `error`, by which a function can name its caller's line.
    pub(crate) names_error: bool,
}

/// Reads a source of which the compiler has made sure that it is one.
pub(crate) fn outline(file: &str, text: &str) -> Result<Outline, ScriptError> {
    let tokens = tokens(text);
    let is = |at: usize, kind: Kind<'_>| tokens.get(at).is_some_and(|token| token.kind == kind);
    let before =
        |at: usize, back: usize| at.checked_sub(back).and_then(|at| tokens.get(at)).map(|token| token.kind);
    let names = Names::of(&tokens);
    let mut outline = Outline::default();
    for (at, token) in tokens.iter().enumerate() {
        match token.kind {
            Kind::Word("error") if before(at, 1) != Some(Kind::Mark(b'.')) => outline.names_error = true,
            Kind::Word(field) if before(at, 1) == Some(Kind::Mark(b'.')) => {
                let owner = match (before(at, 2), before(at, 3)) {
                    (_, Some(Kind::Mark(b'.' | b':'))) => None,
                    (Some(Kind::Word(owner)), _) => Some(owner),
                    _ => None,
                };
                names.mention(field, owner, &mut outline.needs);
            }
            Kind::Text(field) if before(at, 1) == Some(Kind::Mark(b'[')) && is(at + 1, Kind::Mark(b']')) => {
                names.mention(field, None, &mut outline.needs);
            }
            Kind::Word("require") if !matches!(before(at, 1), Some(Kind::Mark(b'.' | b':'))) => {
                let argument = at + 1 + usize::from(is(at + 1, Kind::Mark(b'(')));
                let Some(Kind::Text(name)) = tokens.get(argument).map(|token| token.kind) else {
                    return Err(ScriptError {
                        file: file.to_owned(),
                        line: token.line,
                        message: "`require` takes a name in quotes, so that the module is read when the configuration \
                                  is"
                            .to_owned(),
                    });
                };
                outline.requires.push((name.to_owned(), token.line));
            }
            _ => {}
        }
    }
    Ok(outline)
}

/// What the two functions call their arguments.
#[derive(Default)]
struct Names<'a> {
    requests: Vec<&'a str>,
    responses: Vec<&'a str>,
}

impl<'a> Names<'a> {
    fn of(tokens: &[Token<'a>]) -> Names<'a> {
        let mut names = Names::default();
        for (at, window) in tokens.windows(4).enumerate() {
            let kinds = [0, 1, 2, 3].map(|i| window.get(i).map(|token| token.kind));
            let (phase, open) = match kinds {
                [Some(Kind::Word("function")), Some(Kind::Word(phase)), Some(Kind::Mark(b'(')), _] => {
                    (phase, at + 2)
                }
                [
                    Some(Kind::Word(phase)),
                    Some(Kind::Mark(b'=')),
                    Some(Kind::Word("function")),
                    Some(Kind::Mark(b'(')),
                ] => (phase, at + 3),
                _ => continue,
            };
            let parameters = parameters(tokens.get(open..).unwrap_or_default());
            match phase {
                "request" => names.requests.extend(parameters[0]),
                "response" => {
                    names.responses.extend(parameters[0]);
                    names.requests.extend(parameters[1]);
                }
                _ => {}
            }
        }
        names
    }

    fn mention(&self, field: &str, owner: Option<&str>, needs: &mut Needs) {
        match field {
            "method" => needs.method = true,
            "path" => needs.path = true,
            "query" => needs.query = true,
            "host" => needs.host = true,
            "client_ip" => needs.client_ip = true,
            "consumer" => needs.consumer = true,
            "params" => needs.params = true,
            "claims" => needs.claims = true,
            "body" | "json" => {
                let request = owner.is_some_and(|owner| self.requests.contains(&owner));
                let response = owner.is_some_and(|owner| self.responses.contains(&owner));
                // Whose it is cannot be told: it may be either's.
                needs.request_body |= request || !response;
                needs.response_body |= response || !request;
            }
            _ => {}
        }
    }
}

/// The names of the first two parameters of a list that begins with `(`.
fn parameters<'a>(tokens: &[Token<'a>]) -> [Option<&'a str>; 2] {
    let mut found = [None; 2];
    let mut depth = 0;
    let mut index = 0;
    let mut before = Kind::Number;
    for token in tokens {
        match token.kind {
            Kind::Mark(b'(' | b'{') => depth += 1,
            Kind::Mark(b')' | b'}') => depth -= 1,
            Kind::Mark(b',') if depth == 1 => index += 1,
            Kind::Word(name) if matches!(before, Kind::Mark(b'(' | b',')) && depth == 1 => {
                if let Some(place) = found.get_mut(index) {
                    *place = Some(name);
                }
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
        before = token.kind;
    }
    found
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind<'a> {
    Word(&'a str),
    /// A string without its quotes, escapes as they stand.
    Text(&'a str),
    Number,
    /// `..` or `...`
    Dots,
    Mark(u8),
}

#[derive(Debug, Clone, Copy)]
struct Token<'a> {
    kind: Kind<'a>,
    line: u32,
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut lexer = Lexer { text, at: 0, line: 1, tokens: Vec::new(), nested: Vec::new() };
    while lexer.next() {}
    lexer.tokens
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: u32,
    tokens: Vec<Token<'a>>,
    /// Open braces within each interpolated string (`a{b}c` in backticks) that is open.
    nested: Vec<u32>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn slice(&self, from: usize, to: usize) -> &'a str {
        self.text.get(from..to).unwrap_or_default()
    }

    fn push(&mut self, kind: Kind<'a>) {
        self.tokens.push(Token { kind, line: self.line });
    }

    /// Goes on by so many bytes, counting lines.
    fn skip(&mut self, bytes: usize) {
        let passed = self.rest().iter().take(bytes);
        self.line += passed.filter(|&&byte| byte == b'\n').count() as u32;
        self.at = (self.at + bytes).min(self.text.len());
    }

    /// Reads one token. Whether there is more.
    fn next(&mut self) -> bool {
        let rest = self.rest();
        match rest {
            [] => return false,
            [b'-', b'-', after @ ..] => {
                let bytes = match long_bracket(after) {
                    Some((_, _, whole)) => 2 + whole,
                    None => rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len()),
                };
                self.skip(bytes);
            }
            [b'[', ..] if long_bracket(rest).is_some() => {
                let (from, to, whole) = long_bracket(rest).unwrap_or_default();
                self.push(Kind::Text(self.slice(self.at + from, self.at + to)));
                self.skip(whole);
            }
            [quote @ (b'"' | b'\''), ..] => {
                let end = quoted(rest, *quote);
                self.push(Kind::Text(self.slice(self.at + 1, self.at + end)));
                self.skip(end + 1);
            }
            [b'`', ..] => {
                self.skip(1);
                self.interpolated();
            }
            [b'{', ..] => self.brace(1),
            [b'}', ..] => self.brace(-1),
            [b'.', b'.', b'.', ..] => self.take(Kind::Dots, 3),
            [b'.', b'.', ..] => self.take(Kind::Dots, 2),
            [byte, ..] if byte.is_ascii_alphabetic() || *byte == b'_' => {
                let bytes =
                    rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
                self.take(Kind::Word(self.slice(self.at, self.at + bytes)), bytes);
            }
            [byte, ..] if byte.is_ascii_digit() => {
                let in_number = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte == b'.';
                let bytes = rest.iter().take_while(|byte| in_number(byte)).count();
                // `1..x` is a number and a concatenation.
                let bytes =
                    memchr::memmem::find(rest.get(..bytes).unwrap_or_default(), b"..").unwrap_or(bytes);
                self.take(Kind::Number, bytes);
            }
            [byte, ..] if byte.is_ascii_whitespace() || !byte.is_ascii() => self.skip(1),
            [byte, ..] => self.take(Kind::Mark(*byte), 1),
        }
        true
    }

    fn take(&mut self, kind: Kind<'a>, bytes: usize) {
        self.push(kind);
        self.skip(bytes);
    }

    /// A brace of the code, or the end of an expression within an interpolated string.
    fn brace(&mut self, change: i32) {
        let mark = if change > 0 { b'{' } else { b'}' };
        self.take(Kind::Mark(mark), 1);
        match (change > 0, self.nested.last_mut()) {
            (true, Some(open)) => *open += 1,
            (false, Some(0)) => {
                self.nested.pop();
                self.interpolated();
            }
            (false, Some(open)) => *open -= 1,
            (_, None) => {}
        }
    }

    /// The text of an interpolated string, up to its end or to the next expression.
    fn interpolated(&mut self) {
        let rest = self.rest();
        let mut at = 0;
        loop {
            match rest.get(at) {
                Some(b'\\') => at += 2,
                Some(b'{') => {
                    self.nested.push(0);
                    break;
                }
                Some(b'`') | None => break,
                Some(_) => at += 1,
            }
        }
        self.skip(at + 1);
    }
}

/// A long bracket at the start of `text`: where its content begins and ends, and where it ends itself.
fn long_bracket(text: &[u8]) -> Option<(usize, usize, usize)> {
    let level = text.strip_prefix(b"[")?.iter().take_while(|byte| **byte == b'=').count();
    let from = level + 2;
    if text.get(level + 1) != Some(&b'[') {
        return None;
    }
    let close = [b"]".as_slice(), &vec![b'='; level], b"]"].concat();
    let content = text.get(from..)?;
    let to = from + memchr::memmem::find(content, &close).unwrap_or(content.len());
    Some((from, to, (to + close.len()).min(text.len())))
}

/// Where the quote that closes a string is; the string does not go over the line's end unless that is escaped.
fn quoted(text: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'\\' => at += 2,
            byte if byte == quote || byte == b'\n' => return at,
            _ => at += 1,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, request_body: bool, response_body: bool) {
        let needs = outline("a.lua", text).unwrap().needs;
        assert_eq!((needs.request_body, needs.response_body), (request_body, response_body), "{text}");
    }

    #[test]
    fn bodies_are_told_apart_by_who_has_them() {
        check("function request(req) req.headers.a = '1' end", false, false);
        check("function request(req) local b = req.body end", true, false);
        check("function request(req) local b = req['body'] end", true, true);
        check("function request(r) r.json.a = 1 end", true, false);
        check("function response(res, req) res.json.a = 1 end", false, true);
        check("function response(res, req) log.info(req.body) end", true, false);
        check("response = function(answer: any, asked: any) return answer.body end", false, true);
        check("function response(res: {a: (b: number) -> ()}, req) return req.json end", true, false);
        check("local function f(m) m.body = '' end", true, true);
        check("function request(req) local x = {req.json} end", true, false);
        check("function response(res) local s = `it's {res.body}` end", false, true);
        check("function response(res) local s = `a{ {1}[1] }it's {res.body}` end", false, true);
    }

    #[test]
    fn what_only_looks_like_a_body_is_none() {
        check("function request(req) return json.encode({}) end", false, false);
        check("function request(req) --[[ req.body ]] end -- req.body", false, false);
        check("function request(req) --[==[ req.body ]] ]==] end", false, false);
        check("function request(req) log.info('req.body') log.info([[req.body]]) end", false, false);
        check("function request(req) log.info(`req.body`) end", false, false);
        check("local body = 1; local x = 1 ..body", false, false);
        check("local body = '' local x = ''..body", false, false);
        check("if format == 'json' then end", false, false);
    }

    #[test]
    fn other_parts_and_modules() {
        let text = "local m = require \"lib/a\"\nlocal n = require('b')\nfunction request(r) return r.claims, r['host'] end";
        let outline = outline("a.lua", text).unwrap();
        assert_eq!(outline.requires, [("lib/a".to_owned(), 1), ("b".to_owned(), 2)]);
        assert_eq!(outline.needs, Needs { claims: true, host: true, ..Needs::default() });
    }

    #[test]
    fn a_computed_module_is_refused() {
        let error = outline("a.lua", "\n\nlocal m = require(name)").unwrap_err();
        assert_eq!((error.file.as_str(), error.line), ("a.lua", 3));
    }

    #[test]
    fn no_source_makes_the_reader_fail() {
        for text in
            ["`{", "'\\", "[[", "[==[ ]]", "--[[", "`a{`b{", "}", "1...", "\u{e9}", "function request(", "["]
        {
            let _ = outline("a.lua", text);
        }
    }
}
