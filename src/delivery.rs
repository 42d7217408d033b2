//! One actor per endpoint in use.
