//! `cache`: what is kept and for how long, who is answered with it, and how it is forgotten.

mod filling;
mod forgetting;
mod kit;
mod made_of;
mod poisoning;
mod reuse;
mod shapes;
mod staleness;
mod together;
