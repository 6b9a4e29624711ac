//! Who calls, once that is known.

use std::rc::Rc;

use tollgate_plan::Plan;
use tollgate_plan::consumer::ConsumerId;
use tollgate_plan::issuer::IssuerId;
use tollgate_token::Claims;

/// Who was identified. Nobody is, on a public route and where `optional` lets anonymous callers pass.
#[derive(Clone)]
pub(crate) enum Identity {
    /// The bearer of a token.
    Token(Rc<Verified>),
    /// The owner of an API key or a password.
    Consumer(ConsumerId),
}

/// A token that was found good.
pub(crate) struct Verified {
    /// Whose token it is, in the plan under which it was checked.
    pub(crate) issuer: IssuerId,
    /// The generation of the issuer's keys with which it was checked; 0 where they are not fetched.
    pub(crate) keys: u64,
    /// `issuer:sub`: the issuer's name in the configuration, and the subject (empty when the token has none).
    pub(crate) consumer: Box<str>,
    /// What the token says.
    pub(crate) claims: Claims,
}

impl tollgate_script::Claims for Verified {
    fn tree(&self) -> serde_json::Value {
        self.claims.to_value()
    }
}

impl Identity {
    /// The name in logs, limits and templates: a consumer's own, or issuer and `sub`.
    pub(crate) fn consumer<'a>(&'a self, plan: &'a Plan) -> Option<&'a str> {
        match self {
            Identity::Token(verified) => Some(&verified.consumer),
            Identity::Consumer(id) => plan.consumers.get(*id).map(|consumer| &*consumer.name),
        }
    }

    /// What the token says, where it was one.
    pub(crate) fn claims(&self) -> Option<&Claims> {
        match self {
            Identity::Token(verified) => Some(&verified.claims),
            Identity::Consumer(_) => None,
        }
    }
}
