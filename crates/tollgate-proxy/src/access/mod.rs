//! Stage 4, and the part of stage 3 that speaks to browsers: who may call at all, before anybody is identified.

mod addresses;
mod agents;
mod cors;

pub(crate) use addresses::addresses;
pub(crate) use agents::agents;
pub(crate) use cors::{cors, own_word};
