"""The book's own pictures: a file a chapter, `ch05` for chapter 5, and what several of them share."""
