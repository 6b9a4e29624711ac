//! Machine clients: their keys, their passwords, their groups.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// Index into [`Consumers::list`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConsumerId(pub u32);

/// SHA-256 of an API key.
pub type KeyHash = [u8; 32];

/// Everyone under `consumers:`, with the look-ups.
#[derive(Clone, Default)]
pub struct Consumers {
    /// In the order of the configuration.
    pub list: Vec<Consumer>,
    /// By the hash of an API key. The hash is of no use to who reads the memory's timing: nobody can choose a key by it.
    pub by_key: HashMap<KeyHash, ConsumerId>,
    /// By the user name of HTTP Basic.
    pub by_user: HashMap<Box<str>, Password>,
}

/// One machine client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumer {
    /// Unique name, used in logs, limits and templates.
    pub name: Arc<str>,
    /// Groups that routes may require.
    pub groups: Vec<Arc<str>>,
}

/// A password's hash, and whose it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Password {
    /// The PHC string of argon2id; its parameters are within bounds.
    pub phc: Arc<str>,
    /// Whose.
    pub consumer: ConsumerId,
}

impl Consumers {
    /// The consumer of that id.
    pub fn get(&self, ConsumerId(at): ConsumerId) -> Option<&Consumer> {
        self.list.get(at as usize)
    }
}

impl fmt::Debug for Consumers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Hashes are no secrets, but they can be searched: they are not shown.
        f.debug_struct("Consumers")
            .field("list", &self.list)
            .field("keys", &self.by_key.len())
            .field("passwords", &self.by_user.len())
            .finish()
    }
}
