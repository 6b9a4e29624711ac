//! Scalars: text, numbers, booleans, durations, sizes.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::block::wrong_type;
use super::{Catalogue, Description, Shape, or_expansion, shown};
use crate::bounds;
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::units;
use crate::yaml::{Core, NodeRef, Scalar, core};

/// A whole number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Int<const MIN: i64, const MAX: i64>(pub(crate) i64);

impl<const MIN: i64, const MAX: i64> Int<MIN, MAX> {
    fn range() -> String {
        match MAX {
            i64::MAX => format!("at least {MIN}"),
            _ if MIN == MAX => MIN.to_string(),
            _ => format!("from {MIN} to {MAX}"),
        }
    }

    /// The number; `MIN` is never negative where this is asked.
    pub(crate) fn count(self) -> usize {
        usize::try_from(self.0).unwrap_or_default()
    }
}

impl<const MIN: i64, const MAX: i64> Shape for Int<MIN, MAX> {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let Core::Int(number) = known(node)?.core_or_text() else {
            wrong_scalar(node, what, "a whole number", report);
            return None;
        };
        if number < i128::from(MIN) || number > i128::from(MAX) {
            let message = format!("`{what}` must be {}", Self::range());
            report.push(Finding::error(Code::BadValue, node.span(), message));
            return None;
        }
        Some(Int(number as i64))
    }

    fn describe(_: &mut Catalogue) -> Description {
        let mut schema = json!({ "type": "integer", "minimum": MIN });
        if MAX != i64::MAX {
            schema["maximum"] = MAX.into();
        }
        let label = if MIN == MAX { MIN.to_string() } else { format!("number {}", Self::range()) };
        Description::new(label, or_expansion(schema))
    }

    fn show(&self) -> Value {
        self.0.into()
    }
}

/// `on` and `yes` are text in YAML 1.2.
impl Shape for bool {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        if let Core::Bool(value) = known(node)?.core_or_text() {
            return Some(value);
        }
        wrong_scalar(node, what, "true or false", report);
        None
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("true or false", or_expansion(json!({ "type": "boolean" })))
    }

    fn show(&self) -> Value {
        (*self).into()
    }
}

/// A duration of at least `MIN` and at most `MAX` milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seconds<const MIN: u64, const MAX: u64 = { u64::MAX }>(pub(crate) Duration);

impl<const MIN: u64, const MAX: u64> Seconds<MIN, MAX> {
    pub(crate) const fn of(seconds: u64) -> Self {
        Seconds(Duration::from_secs(seconds))
    }

    pub(crate) const fn millis(milliseconds: u64) -> Self {
        Seconds(Duration::from_millis(milliseconds))
    }
}

impl<const MIN: u64, const MAX: u64> Shape for Seconds<MIN, MAX> {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let duration = quantity(node, what, "a duration such as `5s`", units::duration, report)?;
        let (min, max) = (Duration::from_millis(MIN), Duration::from_millis(MAX));
        if MAX != u64::MAX && !(min..=max).contains(&duration) {
            let (min, max) = (units::show_duration(min), units::show_duration(max));
            let message = format!("`{what}` must be from {min} to {max}");
            report.push(Finding::error(Code::BadValue, node.span(), message));
            return None;
        }
        if duration < min {
            let message = format!("`{what}` must be at least {MIN}ms: a bound is never switched off");
            report.push(
                Finding::error(Code::BadValue, node.span(), message).hint("write a long one, such as `24h`"),
            );
            return None;
        }
        Some(Seconds(duration))
    }

    fn describe(_: &mut Catalogue) -> Description {
        let mut choices = vec![json!({ "type": "string", "pattern": "^([0-9]+(ms|s|m|h|d)|0)$" })];
        if MIN == 0 {
            choices.push(json!({ "const": 0 }));
        }
        Description::new("duration", or_expansion(json!({ "anyOf": choices })))
    }

    fn show(&self) -> Value {
        units::show_duration(self.0).into()
    }
}

/// A share, from `MIN` to 100 percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Percent<const MIN: u32>(pub(crate) u32);

impl<const MIN: u32> Shape for Percent<MIN> {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let percent = quantity(node, what, "a share such as `50%`", units::percent, report)?;
        if percent < MIN {
            let message = format!("`{what}` must be from {MIN}% to 100%");
            report.push(Finding::error(Code::BadValue, node.span(), message));
            return None;
        }
        Some(Percent(percent))
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("share", or_expansion(json!({ "type": "string", "pattern": "^[0-9]{1,3}%$" })))
    }

    fn show(&self) -> Value {
        format!("{}%", self.0).into()
    }
}

/// A size from `MIN` to `MAX` bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size<const MIN: u64, const MAX: u64>(pub(crate) u64);

impl<const MIN: u64, const MAX: u64> Shape for Size<MIN, MAX> {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let bytes = quantity(node, what, "a size such as `64KiB`", units::size, report)?;
        if !(MIN..=MAX).contains(&bytes) {
            let (min, max) = (units::show_size(MIN), units::show_size(MAX));
            let message = format!("`{what}` must be from {min} to {max}");
            report.push(Finding::error(Code::BadValue, node.span(), message));
            return None;
        }
        Some(Size(bytes))
    }

    fn describe(_: &mut Catalogue) -> Description {
        let mut choices =
            vec![json!({ "type": "string", "pattern": "^([0-9]+(B|KiB|MiB|GiB|KB|MB|GB)|0)$" })];
        if MIN == 0 {
            choices.push(json!({ "const": 0 }));
        }
        Description::new("size", or_expansion(json!({ "anyOf": choices })))
    }

    fn show(&self) -> Value {
        units::show_size(self.0).into()
    }
}

impl Shape for String {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        text(node, what, report).map(|scalar| scalar.text.to_string())
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("text", json!({ "type": "string" }))
    }

    fn show(&self) -> Value {
        self.as_str().into()
    }
}

/// A path of the file system, beside the file in which it stands.
impl Shape for PathBuf {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        path_text(node, what, report)
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("path", json!({ "type": "string", "minLength": 1 }))
    }
}

/// A name that labels metrics and log lines: short, without control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Name(pub(crate) String);

impl Shape for Name {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let scalar = text(node, what, report)?;
        match name_fault(&scalar.text) {
            None => Some(Name(scalar.text.to_string())),
            Some(fault) => {
                report.push(Finding::error(Code::BadValue, node.span(), format!("`{what}` {fault}")));
                None
            }
        }
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("text", json!({ "type": "string", "minLength": 1, "maxLength": bounds::NAME_BYTES }))
    }
}

/// Whether a name needs no quoting anywhere: not in a metric, a header or a command line.
pub(crate) fn plain_name(name: &str) -> bool {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    plain && (1..=bounds::NAME_BYTES).contains(&name.len())
}

/// What is wrong with a name, in words that complete "the name …".
pub(super) fn name_fault(name: &str) -> Option<String> {
    if name.trim().is_empty() {
        Some("must not be empty".to_owned())
    } else if name.len() > bounds::NAME_BYTES {
        Some(format!("must not be longer than {} bytes", bounds::NAME_BYTES))
    } else if name.chars().any(char::is_control) {
        Some("must not hold control characters".to_owned())
    } else {
        None
    }
}

/// The scalar of a node that must be text. Numbers and booleans are refused: quoting them says what is meant.
pub(crate) fn text<'t>(node: NodeRef<'t>, what: &str, report: &mut Report) -> Option<&'t Scalar<'t>> {
    let scalar = node.scalar();
    if let Some(scalar) = scalar.filter(|scalar| scalar.rewritten || scalar.core() == Core::Text) {
        return (!scalar.unknown).then_some(scalar);
    }
    let written = shown(node, report);
    let hint = match (scalar, placeholder(node)) {
        (Some(_), _) if written == "***" => Some("quote it".to_owned()),
        (Some(scalar), _) if scalar.core() != Core::Null => Some(format!("quote it: \"{written}\"")),
        (_, Some(name)) => Some(format!("quote it: \"{{{name}}}\"")),
        _ => None,
    };
    match hint {
        Some(hint) => {
            let message = format!("`{what}` must be text, found {}", node.kind());
            report.push(Finding::error(Code::WrongType, node.span(), message).hint(hint));
        }
        None => wrong_type(node, what, "text", report),
    }
    None
}

/// A path of the file system, made relative to the file in which it is written.
pub(crate) fn path_text(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<PathBuf> {
    let scalar = text(node, what, report)?;
    if scalar.text.is_empty() || scalar.text.contains('\0') {
        report.push(Finding::error(
            Code::BadValue,
            node.span(),
            format!("`{what}` must be a path, found empty text"),
        ));
        return None;
    }
    if scalar.text.contains('\n') {
        let written = shown(node, report);
        let (found, hint) = match content_of(&written) {
            Some(file) => (format!("the content of `{file}`"), format!("write the path itself: `{file}`")),
            None => ("several lines".to_owned(), "write the path of a file that holds them".to_owned()),
        };
        let message = format!("`{what}` must be a path, found {found}");
        report.push(Finding::error(Code::BadValue, node.span(), message).hint(hint));
        return None;
    }
    let file = report.sources.path(node.span().file)?;
    Some(crate::resolve::beside(file, &scalar.text))
}

/// The file whose content is all that is written: `${file:FILE}`.
pub(crate) fn content_of(written: &str) -> Option<&str> {
    let file = written.strip_prefix("${file:")?.strip_suffix('}')?;
    (!file.contains('}')).then_some(file)
}

/// The placeholder's name when someone wrote `{request_id}` without quotes: YAML reads a map from it.
fn placeholder(node: NodeRef<'_>) -> Option<&str> {
    let mut entries = node.entries()?;
    let first = entries.next()?;
    (entries.next().is_none() && first.value.is_null()).then_some(first.key)
}

/// Reports a number or a boolean in quotes, or anything else that is none.
fn wrong_scalar(node: NodeRef<'_>, what: &str, wanted: &str, report: &mut Report) {
    let quoted = node.scalar().filter(|scalar| !scalar.plain && !scalar.rewritten);
    if !quoted.is_some_and(|scalar| matches!(core(&scalar.text), Core::Int(_) | Core::Bool(_))) {
        return wrong_type(node, what, wanted, report);
    }
    let message = format!("`{what}` must be {wanted}, found text");
    let hint = format!("remove the quotes: {}", shown(node, report));
    report.push(Finding::error(Code::WrongType, node.span(), message).hint(hint));
}

fn quantity<T>(
    node: NodeRef<'_>,
    what: &str,
    wanted: &str,
    parse: impl Fn(&str) -> Result<T, units::Advice>,
    report: &mut Report,
) -> Option<T> {
    let Some(scalar) = node.scalar().filter(|scalar| !matches!(scalar.core(), Core::Null | Core::Bool(_)))
    else {
        wrong_type(node, what, wanted, report);
        return None;
    };
    if scalar.unknown {
        return None;
    }
    match parse(&scalar.text) {
        Ok(quantity) => Some(quantity),
        Err(advice) => {
            let shown = shown(node, report);
            // An expanded value is never shown, and advice may repeat a part of it.
            let message = format!("`{what}` must be {wanted}, found `{shown}`");
            let advice = (!scalar.rewritten).then_some(advice);
            report.push(Finding::error(Code::BadValue, node.span(), message).maybe_hint(advice));
            None
        }
    }
}

/// The node, when it is a scalar whose value is known or no scalar at all.
fn known(node: NodeRef<'_>) -> Option<Known<'_>> {
    match node.scalar() {
        Some(scalar) if scalar.unknown => None,
        scalar => Some(Known(scalar)),
    }
}

struct Known<'t>(Option<&'t Scalar<'t>>);

impl Known<'_> {
    /// What a scalar means; lists and maps count as text, which is never what is wanted here. An expansion is
    /// typed by what is wanted, also in quotes: inside `{ }` YAML allows it only quoted.
    fn core_or_text(&self) -> Core {
        match self.0 {
            Some(scalar) if scalar.rewritten => core(&scalar.text),
            Some(scalar) => scalar.core(),
            None => Core::Text,
        }
    }
}
