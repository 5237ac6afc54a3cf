pub fn clock(_f:&crate::Faults){}
