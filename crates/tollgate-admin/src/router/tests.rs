//! The endpoints over a real socket.
