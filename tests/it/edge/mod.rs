//! What holds for every request, whatever feature it is for: who sent it, from where, how large, of what, and how a
//! refusal looks.

mod bytes;
mod clients;
mod foreign;
mod fuzz;
mod generated;
mod headers;
mod input;
mod log;
mod problems;
