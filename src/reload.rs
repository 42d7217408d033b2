//! Turns changes of files into publications.
