//! How a suite file is read.
