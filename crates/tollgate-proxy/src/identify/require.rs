//! What a route requires of who was identified.

use tollgate_plan::Plan;
use tollgate_plan::Reason;
use tollgate_plan::auth::{Auth, Require};
use tollgate_plan::consumer::ConsumerId;
use tollgate_token::Lacking;

use super::Refused;
use crate::identity::{Identity, Verified};

const SCOPE: Refused = Refused::new(Reason::ScopeMissing, "a scope that is needed here was not granted");
const ROLE: Refused = Refused::new(Reason::RoleMissing, "none of the roles that may call here");
const CLAIM: Refused = Refused::new(Reason::ClaimMismatch, "a claim is not what is required here");
const GROUP: Refused = Refused::new(Reason::GroupMissing, "in none of the groups that may call here");

/// Whether the caller has all that is required.
pub(super) fn check(auth: &Auth, identity: &Identity, plan: &Plan) -> Result<(), Refused> {
    let Some(require) = &auth.require else { return Ok(()) };
    match identity {
        Identity::Token(verified) => of_token(require, verified, plan),
        Identity::Consumer(id) => of_consumer(require, *id, plan),
    }
}

fn of_token(require: &Require, verified: &Verified, plan: &Plan) -> Result<(), Refused> {
    let Some(issuer) = plan.issuers.get(usize::from(verified.issuer.0)) else { return Err(CLAIM) };
    require.token.check(&verified.claims, &issuer.roles_claim).map_err(|lacking| match lacking {
        Lacking::Scope => SCOPE,
        Lacking::Role => ROLE,
        Lacking::Claim => CLAIM,
    })?;
    // Groups are the configuration's own; no token can put its bearer into one. Where something is asked of tokens,
    // groups are asked of consumers.
    if require.groups.is_empty() || asked_of_tokens(require).is_some() { Ok(()) } else { Err(GROUP) }
}

/// A consumer has groups, and nothing that only a token can say: where no group is asked for, it lacks that.
fn of_consumer(require: &Require, id: ConsumerId, plan: &Plan) -> Result<(), Refused> {
    if require.groups.is_empty() {
        return asked_of_tokens(require).map_or(Ok(()), Err);
    }
    let groups = plan.consumers.get(id).map_or(&[][..], |consumer| &consumer.groups);
    if groups.iter().any(|group| require.groups.contains(group)) { Ok(()) } else { Err(GROUP) }
}

/// The first thing that only a token can say, as what is lacking without it.
fn asked_of_tokens(require: &Require) -> Option<Refused> {
    let token = &require.token;
    let asked = [
        (!token.scopes.is_empty(), SCOPE),
        (!token.roles.is_empty(), ROLE),
        (!token.claims.is_empty(), CLAIM),
    ];
    asked.into_iter().find_map(|(asked, lacking)| asked.then_some(lacking))
}
