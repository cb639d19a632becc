//! Tests of the document's normal form, its rules, and the generated pages.

mod acceptance;
mod lint;
mod normalise;
mod problems;
mod raw;
mod sample;
