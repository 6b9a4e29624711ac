//! Expressions against the route that has them: what they speak of and no request of it has.

use tollgate_content::expr::{Expr, Want};

use super::auth::Found;
use super::edits::Scope;
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{At, params_hint};
use crate::source_map::Span;
use crate::spec;

impl Scope<'_> {
    /// Reports what an expression asks for and no request of the route has: it would hold for nobody.
    pub(super) fn expression(&self, at: &At<spec::Expression>, report: &mut Report) {
        let expr = &*at.value.0;
        for name in expr.params().filter(|name| !self.pattern.params().any(|param| param == *name)) {
            let place = member(name, at.span, report);
            let message = match report.sources.public_text(place) {
                Some(_) => format!("the route's path has no parameter `{name}`: the expression never holds"),
                None => "the route's path has no such parameter: the expression never holds".to_owned(),
            };
            let finding = Finding::error(Code::UnknownName, place, message).related(self.path, "the path");
            report.push(finding.hint(match self.pattern.params().next() {
                Some(_) => params_hint(name, self.pattern),
                None => "the path has no parameters: one stands in it as `{id}`".to_owned(),
            }));
        }
        self.warn_nobody_told(expr, at.span, report);
    }

    /// What it is told of an identity that no request of the route has. From defaults that is no surprise.
    fn warn_nobody_told(&self, expr: &Expr, span: Span, report: &mut Report) {
        let own = span.file == self.block.file && (self.block.start..self.block.end).contains(&span.start);
        for want in expr.wants().iter().filter(|_| own) {
            let (name, what, why) = match (want, self.auth) {
                (Want::Variable("claims"), Found::Public) => {
                    ("claims", "empty", "the route identifies nobody")
                }
                (Want::Variable("claims"), Found::By(auth)) if auth.issuers.is_empty() => {
                    ("claims", "empty", "the route takes no tokens")
                }
                (Want::Variable("consumer"), Found::Public) => {
                    ("consumer", "null", "the route identifies nobody")
                }
                _ => continue,
            };
            let place = found(name, span, report).unwrap_or(span);
            let message = format!("`{name}` is always {what}: {why}");
            report.push(Finding::warning(Code::NoEffect, place, message));
        }
    }
}

/// The place of a parameter inside an expression, or the whole where it is not written out there.
fn member(name: &str, span: Span, report: &Report) -> Span {
    let written = [format!("params.{name}"), format!("params['{name}']"), format!("params[\"{name}\"]")];
    written.iter().find_map(|written| found(written, span, report)).unwrap_or(span)
}

fn found(written: &str, span: Span, report: &Report) -> Option<Span> {
    let start = span.start + report.sources.text(span).find(written)? as u32;
    Some(Span { file: span.file, start, end: start + written.len() as u32 })
}
