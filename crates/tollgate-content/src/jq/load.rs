//! From the text of a filter to what the interpreter runs.

use std::collections::{BTreeSet, HashSet};

use jaq_core::compile::Undefined;
use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::load::{self, Arena, File, Loader};
use jaq_core::path::Part;
use jaq_core::{Compiler, Filter};

use super::{JqError, Lang, functions};
use crate::Unknown;

pub(super) const PRELUDE: &str = include_str!("prelude.jq");

/// Parser and compiler go into the depth of a text by recursion. This is enough for one that is nothing but depth.
const STACK_BYTES: usize = 64 << 20;

/// Compiles a filter, with the functions that it names.
pub(super) fn load(text: &str) -> Result<Filter<Lang>, JqError> {
    let fail = |_| JqError::new(0, "there is no thread to compile it on");
    std::thread::scope(|scope| {
        let compiling =
            std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, || compile(text));
        let outcome = compiling.map_err(fail)?.join();
        outcome.unwrap_or_else(|payload| std::panic::resume_unwind(payload))
    })
}

fn compile(text: &str) -> Result<Filter<Lang>, JqError> {
    let prelude = prelude(text);
    let definitions = load::parse(&prelude, |parser| parser.defs()).unwrap_or_default();
    let arena = Arena::default();
    let modules = Loader::new(definitions)
        .load(&arena, File { code: text, path: () })
        .map_err(|errors| first(text, errors.into_iter().flat_map(|(_, error)| faults(error))))?;
    match load::parse(text, |parser| parser.term()) {
        Some(term) => match find_recursion(&term, &mut Vec::new()) {
            None => {}
            Some(name) => {
                let message = format!(
                    "`{name}` calls itself; loops are `recurse`, `while`, `until`, `reduce` and `foreach` here"
                );
                return Err(JqError::new(offset(text, name), message));
            }
        },
        None => return Err(JqError::new(0, "there are no modules here")),
    }
    let compiler = Compiler::default().with_funs(functions::functions());
    compiler.compile(modules).map_err(|errors| {
        let mut unknown = errors.into_iter().flat_map(|(_, errors)| errors);
        unknown
            .next()
            .map_or_else(|| first(text, std::iter::empty()), |(name, kind)| undefined(text, name, &kind))
    })
}

/// What is said of a name that is none.
fn undefined(text: &str, name: &str, kind: &Undefined) -> JqError {
    let at = offset(text, name);
    let Undefined::Filter(arguments) = kind else {
        return JqError::new(at, format!("there is no {} `{name}` here", kind.as_str()));
    };
    let known: BTreeSet<String> = functions::functions()
        .map(|(name, ..)| name.to_owned())
        .chain(definitions().map(|(name, _)| name.to_owned()))
        .collect();
    if known.contains(name) {
        let arguments = match arguments {
            0 => "no arguments".to_owned(),
            1 => "one argument".to_owned(),
            many => format!("{many} arguments"),
        };
        return JqError::new(at, format!("there is no filter `{name}` with {arguments} here"));
    }
    let unknown = Unknown { name: name.to_owned(), known: known.into_iter().collect() };
    JqError { unknown: Some(unknown), ..JqError::new(at, format!("there is no filter `{name}` here")) }
}

/// What the prelude defines: the name, and the line.
fn definitions() -> impl Iterator<Item = (&'static str, &'static str)> {
    PRELUDE.lines().filter_map(|line| Some((words(line.strip_prefix("def ")?).next()?, line)))
}

/// The definitions that a filter may need: those whose names stand in it, and what they need in their turn.
fn prelude(text: &str) -> String {
    let mut wanted: HashSet<&str> = words(text).collect();
    let lines: Vec<(&str, &str)> = definitions().collect();
    loop {
        let before = wanted.len();
        let named = lines.iter().filter(|(name, _)| wanted.contains(name));
        let more: Vec<&str> = named.flat_map(|(_, line)| words(line)).collect();
        wanted.extend(more);
        if wanted.len() == before {
            break;
        }
    }
    let named = lines.iter().filter(|(name, _)| wanted.contains(name));
    named.map(|(_, line)| format!("{line}\n")).collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !(letter.is_ascii_alphanumeric() || matches!(letter, '_' | '@')))
}

/// What is wrong, and the piece of the text where it is.
fn faults(error: load::Error<&str>) -> Vec<(&str, String)> {
    match error {
        load::Error::Io(errors) => {
            errors.into_iter().map(|(at, _)| (at, "there are no modules here".to_owned())).collect()
        }
        load::Error::Lex(errors) => errors
            .into_iter()
            .map(|(expected, at)| (at, format!("here must be a {}", expected.as_str())))
            .collect(),
        load::Error::Parse(errors) => errors
            .into_iter()
            .map(|(expected, at)| match at {
                "" => (at, format!("it ends where {} must follow", expected.as_str())),
                found => (at, format!("`{}` stands where {} must be", shown(found), expected.as_str())),
            })
            .collect(),
    }
}

/// A token may be a whole block.
fn shown(token: &str) -> &str {
    token.split_inclusive(['(', '[', '{', '\n']).next().unwrap_or_default().trim_end()
}

fn first<'a>(text: &str, mut faults: impl Iterator<Item = (&'a str, String)>) -> JqError {
    match faults.next() {
        Some((at, message)) => JqError::new(offset(text, at), message),
        None => JqError::new(0, "this is no filter"),
    }
}

/// Where a piece of a text stands in it.
fn offset(text: &str, part: &str) -> usize {
    let at = part.as_ptr().addr().checked_sub(text.as_ptr().addr());
    at.filter(|at| *at <= text.len()).unwrap_or(0)
}

/// The name of a function that is called from within itself. Such a function can hand itself others that grow with each
/// call, which take memory that nobody counts and as much stack to give back.
fn find_recursion<'t>(term: &'t Term<&'t str>, open: &mut Vec<(&'t str, usize)>) -> Option<&'t str> {
    if let Term::Call(name, arguments) = term
        && open.contains(&(name, arguments.len()))
    {
        return Some(name);
    }
    if let Term::Def(definitions, rest) = term {
        for Def { name, args, body } in definitions {
            open.push((name, args.len()));
            let found = find_recursion(body, open);
            open.pop();
            if found.is_some() {
                return found;
            }
        }
        return find_recursion(rest, open);
    }
    children(term).into_iter().find_map(|child| find_recursion(child, open))
}

fn children<'t>(term: &'t Term<&'t str>) -> Vec<&'t Term<&'t str>> {
    match term {
        Term::Id | Term::Recurse | Term::Num(_) | Term::Break(_) | Term::Var(_) => Vec::new(),
        // Looked at before.
        Term::Def(..) => Vec::new(),
        Term::Str(_, parts) => parts
            .iter()
            .filter_map(|part| if let StrPart::Term(term) = part { Some(term) } else { None })
            .collect(),
        Term::Arr(inner) => inner.as_deref().into_iter().collect(),
        Term::Obj(members) => {
            members.iter().flat_map(|(name, value)| std::iter::once(name).chain(value)).collect()
        }
        Term::Neg(inner) | Term::Label(_, inner) => vec![inner],
        Term::BinOp(left, operator, right) => {
            let mut all = vec![&**left, right];
            if let BinaryOp::Pipe(Some(pattern)) = operator {
                in_pattern(pattern, &mut all);
            }
            all
        }
        Term::Fold(_, over, pattern, steps) => {
            let mut all = vec![&**over];
            in_pattern(pattern, &mut all);
            all.extend(steps);
            all
        }
        Term::TryCatch(inner, catch) => std::iter::once(&**inner).chain(catch.as_deref()).collect(),
        Term::IfThenElse(cases, rest) => {
            cases.iter().flat_map(|(when, then)| [when, then]).chain(rest.as_deref()).collect()
        }
        Term::Call(_, arguments) => arguments.iter().collect(),
        Term::Path(from, path) => {
            let mut all = vec![&**from];
            for (part, _) in &path.0 {
                match part {
                    Part::Index(index) => all.push(index),
                    Part::Range(start, end) => all.extend(start.iter().chain(end)),
                }
            }
            all
        }
    }
}

fn in_pattern<'t>(pattern: &'t Pattern<&'t str>, all: &mut Vec<&'t Term<&'t str>>) {
    match pattern {
        Pattern::Var(_) => {}
        Pattern::Arr(parts) => parts.iter().for_each(|part| in_pattern(part, all)),
        Pattern::Obj(members) => {
            for (name, part) in members {
                all.push(name);
                in_pattern(part, all);
            }
        }
    }
}
