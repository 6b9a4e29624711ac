//! Whom names are asked of, as the configuration says: a handle that all who resolve names share.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// The DNS servers. Reloads write them, and every question from then on goes to the new ones.
#[derive(Debug, Clone)]
pub(crate) struct NameServers(Arc<Mutex<Arc<[SocketAddr]>>>);

impl Default for NameServers {
    /// Those of the system.
    fn default() -> Self {
        NameServers(Arc::new(Mutex::new(Arc::default())))
    }
}

impl NameServers {
    /// These from now on; with none, those of the system.
    pub(crate) fn set(&self, servers: &[SocketAddr]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if **known != *servers {
            *known = servers.into();
        }
    }

    pub(super) fn get(&self) -> Arc<[SocketAddr]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
