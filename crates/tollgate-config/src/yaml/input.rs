//! The text as the parser reads it.
//!
//! The parser asks its input for the size of its buffer and reserves that much for every plain scalar. Its own
//! input over a `str` has no buffer and says 128, so that each key of four bytes is moved to a larger block and,
//! when it is kept, back again: a tenth of the time that a load of many routes takes.

use saphyr_parser::input::SkipTabs;
use saphyr_parser::{Input, StrInput};

/// Fits into what the parser allocates for a plain scalar from the start.
const RESERVED: usize = 24;

/// [`StrInput`], with a smaller buffer that is not there.
pub(super) struct Text<'t>(StrInput<'t>);

impl<'t> Text<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Text(StrInput::new(text))
    }
}

/// Passes calls on to what is wrapped.
macro_rules! pass_on {
    ($( $name:ident $(($($argument:ident: $of:ty),*))? $(mut ($($changing:ident: $by:ty),*))? -> $gives:ty; )*) => {
        $(
            $(#[inline] fn $name(&self, $($argument: $of),*) -> $gives { self.0.$name($($argument),*) })?
            $(#[inline] fn $name(&mut self, $($changing: $by),*) -> $gives { self.0.$name($($changing),*) })?
        )*
    };
}

impl Input for Text<'_> {
    #[inline]
    fn bufmaxlen(&self) -> usize {
        RESERVED
    }

    pass_on! {
        lookahead mut (count: usize) -> ();
        buflen() -> usize;
        raw_read_ch mut () -> char;
        raw_read_non_breakz_ch mut () -> Option<char>;
        skip mut () -> ();
        skip_n mut (count: usize) -> ();
        peek() -> char;
        peek_nth(n: usize) -> char;
        peek_opt() -> Option<char>;
        next_is_document_indicator() -> bool;
        next_is_document_start() -> bool;
        next_is_document_end() -> bool;
        skip_ws_to_eol mut (tabs: SkipTabs) -> (usize, Result<SkipTabs, &'static str>);
        next_can_be_plain_scalar(in_flow: bool) -> bool;
        next_is_blank_or_break() -> bool;
        next_is_blank_or_breakz() -> bool;
        next_is_blank() -> bool;
        next_is_break() -> bool;
        next_is_breakz() -> bool;
        next_is_z() -> bool;
        next_is_flow() -> bool;
        skip_while_non_breakz mut () -> usize;
        skip_while_blank mut () -> usize;
    }
}
