"""The one blueprint of field sync."""

from flask import Blueprint

bp = Blueprint("sync", __name__)
