//! Everything that touches the world.

mod ubus;
