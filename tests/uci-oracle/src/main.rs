fn main() { println!("{:?}", libuci_sys::UCI_OK); }
