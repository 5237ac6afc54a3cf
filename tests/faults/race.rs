pub fn race(_f:&crate::Faults){}
