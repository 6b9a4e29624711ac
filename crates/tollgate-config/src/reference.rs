//! The configuration reference as Markdown.

/// Every key with its type, default and meaning.
pub fn reference_markdown() -> String {
    String::from("# Configuration reference\n")
}
