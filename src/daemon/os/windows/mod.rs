//! Windows: a waitable timer, and the service control manager.

mod alarm;
pub(in crate::daemon) mod manager;
pub(in crate::daemon) mod service;

pub(in crate::daemon) use alarm::{Alarm, clocks};
