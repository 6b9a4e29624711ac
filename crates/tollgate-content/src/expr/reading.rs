//! An expression is looked at once, part by part: what it speaks of, and what in it is wrong.

use std::sync::Arc;

use cel::common::ast::{EntryExpr, Expr as Node, LiteralValue, operators};
use cel::{Context, IdedExpr, Program, Value};

use super::{ENV, ExprError, FUNCTIONS, NESTED_MAX, NODES_MAX, REQUEST, TYPES, VARIABLES, Want, never};
use crate::Unknown;

/// What an expression has to be told, and the members of `params` that it cannot do without.
pub(super) fn read(program: &Program) -> Result<(Vec<Want>, Vec<Box<str>>), ExprError> {
    let mut reading = Reading {
        program,
        wants: Vec::new(),
        bound: Vec::new(),
        nodes: 0,
        nested: 0,
        asked: Vec::new(),
        tested: Vec::new(),
    };
    let whole = program.expression();
    reading.read(whole)?;
    if let Some(part) = never::holds(whole) {
        let message = "this is no boolean: the expression never holds".to_owned();
        return Err(ExprError { offset: reading.offset(part), message, unknown: None });
    }
    let Reading { wants, asked, tested, .. } = reading;
    Ok((wants, asked.into_iter().filter(|name| !tested.contains(name)).map(Box::from).collect()))
}

/// A text that is written out.
fn text(at: &IdedExpr) -> Option<&str> {
    match &at.expr {
        Node::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

/// Looks at an expression's parts once.
struct Reading<'a> {
    program: &'a Program,
    wants: Vec<Want>,
    /// Names that comprehensions give to elements.
    bound: Vec<&'a str>,
    nodes: usize,
    nested: usize,
    /// Members of `params` that are asked for, and those that are asked about.
    asked: Vec<&'a str>,
    tested: Vec<&'a str>,
}

impl<'a> Reading<'a> {
    fn read(&mut self, at: &'a IdedExpr) -> Result<(), ExprError> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return self.fail(at, "the expression has too many parts".to_owned(), None);
        }
        self.look(at)?;
        match &at.expr {
            Node::Unspecified | Node::Literal(_) => Ok(()),
            Node::Ident(name) => self.name(at, name),
            Node::Select(select) => match &select.operand.expr {
                Node::Ident(name) if name == "request" && !self.bound.contains(&"request") => {
                    self.request(at, &select.field)
                }
                _ => self.read(&select.operand),
            },
            Node::Call(call) => {
                let known = !call.func_name.starts_with(|first: char| first.is_ascii_alphabetic())
                    || FUNCTIONS.contains(&call.func_name.as_str());
                if !known {
                    let message = format!("there is no function `{}`", call.func_name);
                    let unknown = Some(Unknown::new(&call.func_name, FUNCTIONS.iter().copied()));
                    return self.fail(at, message, unknown).map_err(|error| ExprError {
                        // The place of a call is that of its parenthesis.
                        offset: error.offset.saturating_sub(call.func_name.len()),
                        ..error
                    });
                }
                call.target.as_deref().into_iter().chain(&call.args).try_for_each(|part| self.read(part))
            }
            Node::List(list) => list.elements.iter().try_for_each(|part| self.read(part)),
            Node::Map(map) => map.entries.iter().try_for_each(|entry| self.entry(&entry.expr)),
            Node::Struct(_) => self.fail(at, "there are no message types here".to_owned(), None),
            Node::Comprehension(over) => {
                self.read(&over.iter_range)?;
                self.nested += 1;
                if self.nested > NESTED_MAX {
                    let message = format!("more than {NESTED_MAX} comprehensions stand in each other");
                    return self.fail(at, message, None);
                }
                let outside = self.bound.len();
                self.bound.extend([over.iter_var.as_str(), over.accu_var.as_str()]);
                self.bound.extend(over.iter_var2.as_deref());
                let parts = [&over.accu_init, &over.loop_cond, &over.loop_step, &over.result];
                parts.into_iter().try_for_each(|part| self.read(part))?;
                self.bound.truncate(outside);
                self.nested -= 1;
                Ok(())
            }
        }
    }

    /// What is wrong about a part itself, and the parameter that it is.
    fn look(&mut self, at: &'a IdedExpr) -> Result<(), ExprError> {
        if let Some((of, member)) = self.member(at) {
            let tested = matches!(&at.expr, Node::Select(select) if select.test);
            self.named(of, member, tested)?;
        }
        let Node::Call(call) = &at.expr else { return Ok(()) };
        match (call.func_name.as_str(), call.target.as_deref(), call.args.as_slice()) {
            (operators::IN, None, [name, of]) => match (text(name), &of.expr) {
                (Some(text), Node::Ident(of)) if self.is(of, "params") => self.tested.push(text),
                (Some(text), _) if self.is_headers(of) => self.header(self.offset(name), text)?,
                _ => {}
            },
            ("matches", Some(_), [of]) | ("matches", None, [_, of]) => self.regex(of)?,
            _ => {}
        }
        Ok(())
    }

    /// A member by a name that is written out: whose, its name, and where that stands.
    fn member(&self, at: &'a IdedExpr) -> Option<(&'a IdedExpr, (&'a str, usize))> {
        match &at.expr {
            // The place of a member is that of the dot in front of it.
            Node::Select(select) => Some((&select.operand, (&select.field, self.offset(at) + 1))),
            Node::Call(call) if call.func_name == operators::INDEX => match call.args.as_slice() {
                [of, name] => Some((of, (text(name)?, self.offset(name)))),
                _ => None,
            },
            _ => None,
        }
    }

    fn named(
        &mut self,
        of: &'a IdedExpr,
        (name, offset): (&'a str, usize),
        tested: bool,
    ) -> Result<(), ExprError> {
        if self.is_headers(of) {
            return self.header(offset, name);
        }
        match &of.expr {
            Node::Ident(of) if self.is(of, "params") && tested => self.tested.push(name),
            Node::Ident(of) if self.is(of, "params") => self.asked.push(name),
            _ => {}
        }
        Ok(())
    }

    /// Whether a name is this variable, and none that a comprehension gives.
    fn is(&self, name: &str, variable: &str) -> bool {
        name == variable && !self.bound.contains(&variable)
    }

    fn is_headers(&self, at: &'a IdedExpr) -> bool {
        let Some((of, (name, _))) = self.member(at) else { return false };
        name == "headers" && matches!(&of.expr, Node::Ident(of) if self.is(of, "request"))
    }

    /// Names of headers come in lower case. Any other is never there, so that a rule about it says nothing.
    fn header(&self, offset: usize, name: &str) -> Result<(), ExprError> {
        if !name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Ok(());
        }
        let message = "names of headers are in lower case here: this one is never there".to_owned();
        Err(ExprError { offset, message, unknown: None })
    }

    /// A regular expression that is written out: the language itself says whether it is one.
    fn regex(&self, at: &'a IdedExpr) -> Result<(), ExprError> {
        let Some(regex) = text(at) else { return Ok(()) };
        let mut context = Context::with_env(ENV.clone());
        context.add_variable_from_value("regex", Value::String(Arc::new(regex.to_owned())));
        let tried = ENV.compile("''.matches(regex)").map(|program| program.execute(&context));
        let Ok(Err(error)) = tried else { return Ok(()) };
        // The lines before draw the text, which may be a secret.
        let error = error.to_string();
        let why = error.lines().last().and_then(|line| line.strip_prefix("error: "));
        let message =
            format!("this is no regular expression{}", why.map(|why| format!(": {why}")).unwrap_or_default());
        Err(ExprError { offset: self.offset(at), message, unknown: None })
    }

    fn offset(&self, at: &IdedExpr) -> usize {
        self.program.source_info().offset_for(at.id).map_or(0, |(start, _)| start as usize)
    }

    fn entry(&mut self, entry: &'a EntryExpr) -> Result<(), ExprError> {
        match entry {
            EntryExpr::StructField(field) => self.read(&field.value),
            EntryExpr::MapEntry(entry) => {
                self.read(&entry.key)?;
                self.read(&entry.value)
            }
        }
    }

    fn name(&mut self, at: &'a IdedExpr, name: &str) -> Result<(), ExprError> {
        if self.bound.contains(&name) || TYPES.contains(&name) {
            return Ok(());
        }
        match VARIABLES.into_iter().find(|known| *known == name) {
            Some("request") => {
                // Not one member of it but all: `request["method"]`.
                REQUEST.into_iter().for_each(|member| self.want(Want::Request(member)));
                Ok(())
            }
            Some(known) => {
                self.want(Want::Variable(known));
                Ok(())
            }
            None => self.fail(at, format!("there is no `{name}`"), Some(Unknown::new(name, VARIABLES))),
        }
    }

    fn request(&mut self, at: &'a IdedExpr, name: &str) -> Result<(), ExprError> {
        match REQUEST.into_iter().find(|known| *known == name) {
            Some(known) => {
                self.want(Want::Request(known));
                Ok(())
            }
            None => {
                let message = format!("a request has no `{name}`");
                // The place of a member is that of the dot in front of it.
                self.fail(at, message, Some(Unknown::new(name, REQUEST)))
                    .map_err(|error| ExprError { offset: error.offset + 1, ..error })
            }
        }
    }

    fn want(&mut self, want: Want) {
        if !self.wants.contains(&want) {
            self.wants.push(want);
        }
    }

    fn fail(&self, at: &IdedExpr, message: String, unknown: Option<Unknown>) -> Result<(), ExprError> {
        Err(ExprError { offset: self.offset(at), message, unknown })
    }
}
