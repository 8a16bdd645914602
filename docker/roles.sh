#!/bin/sh
# Runs once, in a new PostgreSQL container: the owner (migrations) and the service (no DDL).
set -eu
psql -v ON_ERROR_STOP=1 -U postgres <<EOF
CREATE ROLE usher_owner LOGIN PASSWORD '$OWNER_PASSWORD';
CREATE ROLE usher LOGIN PASSWORD '$SERVICE_PASSWORD';
ALTER ROLE usher SET log_parameter_max_length = 0;
ALTER ROLE usher SET log_error_verbosity = terse;
ALTER ROLE usher SET log_error_verbosity = terse;
CREATE DATABASE usher OWNER usher_owner;
CREATE DATABASE usher_profile OWNER usher_owner;
EOF
