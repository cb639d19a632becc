//! Gatepost.
