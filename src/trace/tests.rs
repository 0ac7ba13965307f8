//! Tests of the whole: text in, report out.
