"use strict"; // Nothing moves on this page.
