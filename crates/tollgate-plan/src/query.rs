//! Query strings: decoded comparison and edits, without ever re-encoding what was not touched.
