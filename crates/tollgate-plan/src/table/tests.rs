//! Tables of routes and requests.
