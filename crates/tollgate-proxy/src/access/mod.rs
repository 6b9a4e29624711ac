//! Stage 4, and the part of stage 3 that speaks to browsers: who may call at all, before anybody is identified.

mod addresses;
mod cors;

pub(crate) use addresses::addresses;
pub(crate) use cors::{cors, own_word};
