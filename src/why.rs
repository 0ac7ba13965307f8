//! Why the ranking is what it is, in full sentences: who is active, why not the others, and what would have to happen for each to take over.
//!
//! Made by `core::why`; the reply of ubus `why`, printed by `failoverd why`.
