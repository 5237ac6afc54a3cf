pub fn database(_f:&crate::Faults){}
