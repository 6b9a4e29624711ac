//! Tokens taken ahead from a bucket that several instances share.
