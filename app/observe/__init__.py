"""Observers: what runs elsewhere, told on the raw topic `instances`. They read only, and decide nothing."""
