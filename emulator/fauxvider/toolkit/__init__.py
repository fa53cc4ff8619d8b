"""Checks on contracts from both sides: OpenAPI, differences, conformance of servers, recorded traffic."""
