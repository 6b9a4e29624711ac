//! One finding about a configuration, and the closed table of codes.

use serde_json::{Value, json};

use crate::source_map::Span;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// The configuration runs, but probably not as meant.
    Warning,
}

/// One finding, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Stable name of the rule, from [`CODES`].
    pub code: &'static str,
    /// What is wrong, in one sentence, without secrets.
    pub message: String,
    /// The file as it was named or found.
    pub file: String,
    /// From 1; 0 when the file as a whole is meant.
    pub line: u32,
    /// From 1, in characters; 0 when the file as a whole is meant.
    pub column: u32,
    /// The bytes that are meant.
    pub span: Option<Span>,
    /// What to do about it.
    pub hint: Option<String>,
    /// Other places that take part.
    pub related: Vec<Related>,
}

/// Another place that takes part in a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Related {
    /// Its part.
    pub message: String,
    /// The file as it was named or found.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// The bytes that are meant.
    pub span: Span,
}

impl Diagnostic {
    /// `{"severity","file","line","column","code","message","hint","related"}`; a missing place or hint is null.
    pub fn to_json(&self) -> Value {
        let place = |number: u32| if number == 0 { Value::Null } else { number.into() };
        json!({
            "severity": self.severity.as_str(),
            "file": self.file,
            "line": place(self.line),
            "column": place(self.column),
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "related": self.related.iter().map(|related| json!({
                "file": related.file,
                "line": related.line,
                "column": related.column,
                "message": related.message,
            })).collect::<Vec<_>>(),
        })
    }
}

impl Severity {
    /// `error` or `warning`.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident = $code:literal;)*) => {
        /// The rule that a finding is about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum Code { $($(#[doc = $doc])* $name,)* }

        impl Code {
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Code::$name => $code,)* }
            }
        }

        /// Every code with its meaning.
        pub const CODES: &[(&str, &str)] = &[$(($code, concat!($($doc),*)),)*];
    };
}

codes! {
    /// The file cannot be read, or is not UTF-8.
    Unreadable = "unreadable";
    /// The file has no content; a changed file that is empty or gone is not a configuration.
    Empty = "empty";
    /// The text is not YAML.
    YamlSyntax = "yaml_syntax";
    /// YAML that a configuration does not use: several documents, tags, merge keys, keys that are not text.
    YamlFeature = "yaml_feature";
    /// Over a bound: file size, nodes after aliases, routes, includes, expansions.
    TooLarge = "too_large";
    /// Maps and lists inside each other over the bound.
    TooDeep = "too_deep";
    /// A key that does not exist here.
    UnknownKey = "unknown_key";
    /// The same key twice in one map.
    DuplicateKey = "duplicate_key";
    /// A key that must be given.
    MissingKey = "missing_key";
    /// A list where text is wanted, text where a number is wanted, and so on.
    WrongType = "wrong_type";
    /// The right type, but not a value that works here.
    BadValue = "bad_value";
    /// Keys that exclude each other.
    Conflict = "conflict";
    /// A reference to a name that does not exist.
    UnknownName = "unknown_name";
    /// The same name, address or file twice.
    DuplicateName = "duplicate_name";
    /// An environment variable that is not set and has no default.
    MissingVariable = "missing_variable";
    /// A `${…}` that is not well formed or whose file cannot be read.
    BadExpansion = "bad_expansion";
    /// An include that cannot be used.
    BadInclude = "bad_include";
    /// A file, or what `${…}` stands for, that a check over the admin side may not see.
    NotLookedAt = "not_looked_at";
    /// Two routes that one request satisfies and nothing decides between.
    RouteTie = "route_tie";
    /// A route that no request can reach.
    RouteShadowed = "route_shadowed";
    /// An admin address that others can reach, without a token.
    AdminOpen = "admin_open";
    /// What would protect less than it says: a signature that anybody can make, keys over plain http.
    Insecure = "insecure";
    /// What no request, or no credential, can satisfy.
    Impossible = "impossible";
    /// A file of keys or certificates that cannot be used, or a part of one.
    BadKeys = "bad_keys";
    /// A script that does not compile, or fails when it is loaded.
    BadScript = "bad_script";
    /// A template that does not compile.
    BadTemplate = "bad_template";
    /// A schema that cannot be used.
    BadSchema = "bad_schema";
    /// A certificate whose time is over, or has not begun.
    Expired = "expired";
    /// A key that changes nothing where it stands.
    NoEffect = "no_effect";
    /// An upstream that no route uses.
    UnusedUpstream = "unused_upstream";
    /// An issuer that no route uses.
    UnusedIssuer = "unused_issuer";
}
