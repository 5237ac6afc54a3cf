pub fn flood(_f:&crate::Faults){}
