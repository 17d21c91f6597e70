//! Messages and results in motion.
