//! What the writer writes and what the reader makes of it, and of files of others.

mod golden;
mod hostile;
mod peers;
mod random;
mod reader;
mod shapes;
mod writer;
