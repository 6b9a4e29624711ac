//! Expressions that are true for nobody, as far as their form shows it: a part that must be a boolean is none.

use cel::IdedExpr;
use cel::common::ast::{Expr as Node, LiteralValue, operators};

/// What there is but booleans where one of these is asked for. What `claims` holds is not known.
const NO_BOOLEANS: [&str; 5] = ["request", "params", "consumer", "client_ip", "now"];

/// Functions and operators that make no boolean.
const MAKE_OTHERS: [&str; 13] = [
    operators::ADD,
    operators::DIVIDE,
    operators::MODULO,
    operators::MULTIPLY,
    operators::NEGATE,
    operators::SUBSTRACT,
    "bytes",
    "double",
    "int",
    "size",
    "string",
    "type",
    "uint",
];

/// The part for which it never holds; none where it may.
pub(super) fn holds(at: &IdedExpr) -> Option<&IdedExpr> {
    let Node::Call(call) = &at.expr else { return boolean(at) };
    match (call.func_name.as_str(), call.args.as_slice()) {
        (operators::LOGICAL_AND, parts) => parts.iter().find_map(holds),
        (operators::LOGICAL_OR, [one, other]) => holds(one).filter(|_| holds(other).is_some()),
        (operators::CONDITIONAL, [condition, then, other]) => {
            boolean(condition).or_else(|| holds(then).filter(|_| holds(other).is_some()))
        }
        _ => boolean(at),
    }
}

/// The part for which it is never a boolean; none where it may be.
fn boolean(at: &IdedExpr) -> Option<&IdedExpr> {
    match &at.expr {
        Node::Literal(LiteralValue::Boolean(_)) | Node::Struct(_) | Node::Unspecified => None,
        // Of the names none stands for a boolean.
        Node::Literal(_) | Node::List(_) | Node::Map(_) | Node::Ident(_) => Some(at),
        Node::Select(select) => (!select.test && is_known(&select.operand)).then_some(at),
        // `map` and `filter` gather a list; the others make a boolean.
        Node::Comprehension(over) => matches!(over.accu_init.expr, Node::List(_)).then_some(at),
        Node::Call(call) => match (call.func_name.as_str(), call.args.as_slice()) {
            // One that is false decides, whatever the other is.
            (operators::LOGICAL_AND | operators::LOGICAL_OR, [one, other]) => {
                boolean(one).filter(|_| boolean(other).is_some())
            }
            (operators::LOGICAL_NOT | "dyn", [one]) => boolean(one),
            (operators::CONDITIONAL, [condition, then, other]) => {
                boolean(condition).or_else(|| boolean(then).filter(|_| boolean(other).is_some()))
            }
            (operators::INDEX, [of, _]) => is_known(of).then_some(at),
            (name, _) => MAKE_OTHERS.contains(&name).then_some(at),
        },
    }
}

/// Whether it is something of a request that is no boolean, nor has one in it.
fn is_known(at: &IdedExpr) -> bool {
    match &at.expr {
        Node::Ident(name) => NO_BOOLEANS.contains(&name.as_str()),
        Node::Select(select) => is_known(&select.operand),
        Node::Call(call) if call.func_name == operators::INDEX => call.args.first().is_some_and(is_known),
        _ => false,
    }
}
